"""The defects of the paper's public reward code, one numbered case each (items 1 to 14 of the project's list).

`CASES` are replies with what each must earn here; `ELSEWHERE` names the tests of what needs a server, an embedder, a
prompt or the sampler. `test_every_defect_has_a_test` keeps the list complete.
"""

import ast
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from medix_r1.errors import ConfigError, EmbedderError, JudgeError, JudgeRejected, JudgeUnavailable
from medix_r1.grammar import parse_reference
from medix_r1.rewards.composite import CompositeReward, weight_problems
from medix_r1.rewards.embed import EmbeddingReward
from medix_r1.rewards.llm import JudgeReward
from tests.unit.rewards.cases import WEIGHTS, ScriptedEmbedder, ScriptedJudge, composite, reply, sample, scored

ROOT = Path(__file__).parents[3]
X_RAY = "<X_RAY>left lung"


@dataclass(frozen=True)
class Case:
    """The total that a reply must get when judge and embedder accept (or refuse) every answer."""

    defect: int
    name: str
    reply: str
    total: float
    reference: str = X_RAY
    yes: bool = True
    calls: int = 0  # to the judge


CASES = [
    Case(7, "an answer with a colon equals its reference", reply("Ratio 1:2"), 1.0, "<X_RAY>Ratio 1:2", yes=False),
    Case(7, "and with a question mark", reply("fracture?"), 1.0, "<X_RAY>fracture?", yes=False),
    Case(7, "one digit is an answer", reply("5"), 1.0, "<X_RAY>5", yes=False),
    Case(7, "one letter is an answer", reply("B"), 1.0, "<X_RAY>B", yes=False),
    Case(7, "a ratio that only the judge knows is asked about", reply("1:2"), 1.0, "<X_RAY>one to two", calls=1),
    Case(8, "an untagged reference is no error", reply("left lung"), 1.0, "left lung", yes=False),
    Case(8, "nor is one that starts with another sign", reply("<5 mm"), 1.0, "<X_RAY><5 mm", yes=False),
    Case(9, "white space round / on both sides", reply("120 / 80"), 1.0, "<X_RAY>120 / 80", yes=False),
    Case(9, "white space round / on one side", reply("120/80"), 1.0, "<X_RAY>120 / 80", yes=False),
    Case(9, "white space round < and >", reply("140 > 90"), 1.0, "<X_RAY>140 > 90", yes=False),
    Case(10, "a preamble is not the format, nor is the tag behind it one", "So: " + reply("left lung"), 0.855),
    Case(10, "a missing tag is not the format", reply("left lung").removeprefix("<X_RAY>"), 0.855),
    Case(10, "an empty think block is not the format", reply("left lung").replace("It is so.", " "), 0.9),
    Case(10, "of two answers none is graded", reply("left lung</answer><answer>heart"), 0.045),
    Case(10, "and not the last one either", reply("heart</answer><answer>left lung"), 0.045),
    Case(10, "an untagged reply is not graded whole", "left lung", 0.0),
    Case(10, "nor one with a tag only", "<X_RAY> left lung", 0.045),
    Case(
        10, "an answer inside the reasoning loses the format", "<X_RAY><think>a<answer>left lung</answer></think>", 0.9
    ),
    Case(11, "an exact match ignores case and a final stop", reply("LEFT LUNG."), 1.0, yes=False),
    Case(11, "and Unicode's spellings", reply("ﬁbrosis 28×27 mm"), 1.0, "<X_RAY>Fibrosis 28 x 27 mm", yes=False),
    Case(11, "but keeps digits", reply("28 mm"), 0.145, "<X_RAY>27 mm", yes=False, calls=1),
    Case(13, "an empty reply has a reward", "", 0.0),
    Case(13, "an empty answer asks nobody", reply(""), 0.045),
    Case(13, "signs alone ask nobody", reply("?!"), 0.145),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.defect}: {case.name}")
async def test_what_a_reply_earns(case):
    judge, embedder = ScriptedJudge(case.yes), ScriptedEmbedder(1.0 if case.yes else -1.0)

    breakdown = await composite(judge, embedder).score(sample(case.reply, case.reference))

    assert breakdown.total == pytest.approx(case.total, abs=1e-9), breakdown.parts
    assert len(judge.asked) == len(embedder.asked) == case.calls


@pytest.mark.parametrize(
    ("judge", "embedder"),
    [
        (JudgeUnavailable("down"), 0.9),
        (JudgeRejected("too long"), 0.9),
        (True, EmbedderError("out of memory")),
        (JudgeUnavailable("down"), EmbedderError("down")),
    ],
)
async def test_defect_01_a_failure_is_no_0_and_no_reward_for_form_and_tag(judge, embedder):
    breakdown = await composite(ScriptedJudge(judge), ScriptedEmbedder(embedder)).score(sample(reply("left"), X_RAY))

    assert breakdown.total is None
    assert breakdown.failure


async def test_defect_05_the_judge_sees_question_options_and_images():
    judge = ScriptedJudge(True)
    case = sample(reply("left"), X_RAY, question="Which lung?", choices=("left lung", "right lung"), images=(b"png",))

    await scored(JudgeReward(judge=judge, give_images=True), case)

    (asked,) = judge.asked
    assert (asked.question, asked.choices, asked.images) == ("Which lung?", ("left lung", "right lung"), (b"png",))
    assert (asked.reference, asked.prediction) == ("left lung", "left")


async def test_defect_11_the_cosine_is_not_cut_at_a_fixed_place():
    case = sample(reply("left"), X_RAY)
    values = [
        (await scored(EmbeddingReward(embedder=ScriptedEmbedder(0.75), **settings), case)).value
        for settings in ({}, {"threshold": 0.7}, {"mode": "graded", "floor": 0.5})
    ]

    assert values == pytest.approx([0.0, 1.0, 0.5])


def test_defect_12_weights_are_settings_and_are_checked():
    assert weight_problems(WEIGHTS, dict.fromkeys(WEIGHTS, 1)) == []
    for wrong in ({"llm": 0.5}, {"llm": math.nan}, {"llm": -1, "embed": 2}, {"lm": 1.0}):
        with pytest.raises(ConfigError):
            CompositeReward(signals={name: JudgeReward(judge=ScriptedJudge()) for name in WEIGHTS}, weights=wrong)


async def test_defect_13_every_signal_sees_question_image_and_source():
    seen = []

    class Curious:
        async def score(self, case):
            seen.append((case.question, case.source, case.has_image, case.choices))
            raise JudgeError("enough")

    await CompositeReward(signals={"a": Curious()}, weights={"a": 1.0}).score(
        sample(reply("left"), X_RAY, question="Which?", source="vqa_rad", choices=("left",))
    )

    assert seen == [("Which?", "vqa_rad", True, ("left",))]


def test_defect_08_a_reference_without_a_tag_is_read_whole():
    assert parse_reference("left lung").answer == "left lung"
    assert parse_reference("").answer == ""


ELSEWHERE = {
    1: ["test_scorer.py::test_a_lost_actor_is_an_outage_and_no_zero"],
    2: ["test_verdict.py::test_a_verdict_is_read_where_there_is_no_doubt"],
    3: [
        "test_connection.py::test_a_hang_ends_for_all_who_stand_in_line",  # timeout
        "test_connection.py::test_passing_trouble_is_waited_out",  # retries
        "test_connection.py::test_calls_in_flight_are_limited_and_share_connections",  # a pool
        "test_judge.py::test_equal_questions_in_flight_are_asked_once",
        "test_judge.py::test_answers_are_kept",
        "test_scorer.py::test_limits_cache_and_embedder_are_one_for_the_job",
    ],
    4: [
        "test_embedder.py::test_code_that_comes_with_a_model_is_not_run",
        "test_embedder.py::test_a_batch_gives_the_same_as_one_by_one",
        "test_embedder.py::test_a_reference_is_encoded_once_for_its_group",
        "test_scorer.py::test_limits_cache_and_embedder_are_one_for_the_job",
    ],
    5: ["test_prompts.py::test_options_are_a_line_of_their_own"],
    6: [
        "test_prompts.py::test_a_forged_line_cannot_be_inserted",
        "test_prompts.py::test_whatever_is_inserted_is_one_line_without_delimiters",
    ],
    13: ["test_reward_manager.py::test_a_signal_gets_question_options_images_and_source"],
    14: [
        "test_sampler_rules.py::test_groups_of_equal_values_teach_nothing",
        "test_sampler_rules.py::test_limits_of_the_mean",
    ],
}


def test_every_defect_has_a_test():
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    here = {int(name.split("_")[2]) for name in names if name.startswith("test_defect_")}

    assert here | {case.defect for case in CASES} | set(ELSEWHERE) == set(range(1, 15))


@pytest.mark.parametrize("test", sorted({test for tests in ELSEWHERE.values() for test in tests}))
def test_the_tests_elsewhere_are_there(test):
    file, _, name = test.partition("::")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob(file)]

    assert name in {
        node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
