"""Signal `findings`: what is asked, what it is worth, and what a judge that fails does."""

import pytest

from medix_r1.errors import ConfigError, JudgeRejected, JudgeUnavailable
from medix_r1.models.ensemble.voting import VotingJudge
from medix_r1.models.verdict import OpenQuestion
from medix_r1.rewards.base import Reward
from medix_r1.rewards.build import reward_problems
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.findings import FindingsReward
from medix_r1.rewards.format import FormatReward
from tests.support.problems import only
from tests.unit.rewards.cases import ScriptedJudge, reply, sample
from tests.unit.rewards.findings.judges import LexicalJudge
from tests.unit.rewards.test_build import settings

REFERENCE = "<X_RAY>Small left effusion. Enlarged heart. No pneumothorax."


def of(answer: str, *, reference: str = REFERENCE, source: str = ""):
    return sample(reply(answer), reference, question="Report?", source=source)


async def scored(answer: str, judge: ScriptedJudge | None = None, **options):
    return await FindingsReward(judge=judge or LexicalJudge(), **options).score(of(answer))


async def test_the_reference_itself_needs_no_call():
    judge = ScriptedJudge(False)

    score = await scored("no pneumothorax. enlarged heart. small left effusion", judge)

    assert score.value == 1.0
    assert judge.asked == []


async def test_half_of_the_findings_are_half_of_recall():
    score = await scored("Small left effusion. Rib fracture.", normal=1.0)

    assert score.numbers == {"precision": 0.5, "recall": pytest.approx(1 / 3), "contradicted": 0.0, "findings": 2.0}
    assert score.value == pytest.approx(0.4)
    assert "Enlarged heart" in score.reason
    assert "Rib fracture" in score.reason


async def test_each_finding_is_held_against_the_other_report_and_a_no_is_asked_again():
    judge = ScriptedJudge(False)

    await scored("Consolidation.", judge)

    asked = [(one.prompt, one.prediction) for one in judge.asked]
    assert asked.count(("finding_entailed", "Consolidation.")) == 1
    assert asked.count(("finding_contradicted", "Consolidation.")) == 1
    assert len(asked) == 8  # three findings of the reference and one of the reply, each entailed? contradicted?
    assert {one.question for one in judge.asked} == {"Report?"}


async def test_a_judge_that_sees_a_contradiction_costs_more_than_an_absent_finding():
    class Contradicts(LexicalJudge):
        async def judge(self, question):
            verdict = await super().judge(question)
            return verdict if question.prompt == "finding_entailed" else type(verdict)(True, "YES")

    absent = await scored("Small left effusion. Rib fracture.")
    against = await scored("Small left effusion. Rib fracture.", Contradicts())
    dear = await scored("Small left effusion. Rib fracture.", Contradicts(), costs={"judge": 5.0})
    unasked = await scored("Small left effusion. Rib fracture.", Contradicts(), costs={"side": 1.0})

    assert absent.value > against.value > dear.value
    assert unasked.value == absent.value
    assert against.numbers["contradicted"] == 1.0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Small right effusion. Enlarged heart. No pneumothorax.", "side"),
        ("No left effusion. Enlarged heart. No pneumothorax.", "negation"),
        ("Large left effusion. Enlarged heart. No pneumothorax.", "size"),
    ],
)
async def test_rules_see_a_contradiction_even_where_the_judge_says_yes(answer, why):
    yes = ScriptedJudge(True)

    score = await scored(answer, yes)

    assert score.numbers["contradicted"] == 1.0
    assert f"({why})" in score.reason
    assert (await scored(answer, yes, costs={why: None, "judge": 1.0})).value == 1.0
    assert (await scored(answer, yes, costs={why: 9.0})).value < score.value


async def test_an_effusion_on_each_side_is_no_clash():
    score = await FindingsReward(judge=ScriptedJudge(True)).score(
        of("Left effusion. Right effusion.", reference="<X_RAY>Right effusion. Small left effusion.")
    )

    assert score.value == 1.0


async def test_pairs_are_asked_with_the_judges_own_prompt_and_once_each():
    judge = LexicalJudge()

    score = await scored("Heart is enlarged. Rib fracture.", judge, compare="pairs", question="Same?", normal=1.0)

    assert (score.numbers["precision"], score.numbers["recall"]) == (0.5, pytest.approx(1 / 3))
    assert {(one.prompt, one.question) for one in judge.asked} == {(None, "Same?")}
    assert len(judge.asked) == 6
    assert ("Enlarged heart.", "Heart is enlarged.") in {(one.reference, one.prediction) for one in judge.asked}


async def test_a_normal_finding_weighs_less_and_whole_where_all_are_normal():
    abnormal_left_out = await scored("No pneumothorax.")
    normal_left_out = await scored("Small left effusion. Enlarged heart.")
    only_normal = await FindingsReward(judge=LexicalJudge()).score(
        of("No pneumothorax.", reference="<X_RAY>No pneumothorax. No effusion.")
    )

    assert abnormal_left_out.numbers["recall"] == pytest.approx(0.25 / 2.25)
    assert normal_left_out.numbers["recall"] == pytest.approx(2 / 2.25)
    assert only_normal.numbers["recall"] == 0.5


async def test_padding_is_not_asked_about_and_lowers_precision():
    judge = ScriptedJudge(True)
    padding = " ".join(f"Line {number} says nothing." for number in range(200))

    score = await scored(padding, judge)

    assert score.value < 0.1
    assert len(judge.asked) <= 9 + 3


async def test_it_applies_to_rows_of_its_sources_alone():
    signal = FindingsReward(judge=ScriptedJudge(False), sources=["reports"])

    assert (await signal.score(of("Effusion.", source="vqa"))).value is None
    assert (await signal.score(of("Effusion.", source="reports"))).value == 0.0


@pytest.mark.parametrize("answer", ["...", "", "Report?", "x " * 4000])
async def test_what_cannot_be_graded_is_0_without_a_call(answer):
    judge = ScriptedJudge(True)

    assert (await scored(answer, judge)).value == 0.0
    assert judge.asked == []


@pytest.mark.parametrize("compare", ["report", "pairs"])
@pytest.mark.parametrize(
    ("error", "outage"), [(JudgeRejected("no", code="x"), False), (JudgeUnavailable("down", code="x"), True)]
)
async def test_a_judge_that_fails_masks_the_sample_and_never_scores_it(error, outage, compare):
    signals: dict[str, Reward | None] = {
        "findings": FindingsReward(judge=ScriptedJudge(error), compare=compare),
        "format": FormatReward(),
    }

    breakdown = await CompositeReward(signals=signals, weights={"findings": 0.9, "format": 0.1}).score(of("Effusion."))

    assert breakdown.total is None
    assert breakdown.outage is outage
    assert breakdown.parts["findings"].value is None


class ListingJudge(LexicalJudge):
    """Also lists findings: one for each side of an "and"."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[OpenQuestion] = []

    async def write(self, question: OpenQuestion) -> str:
        self.written.append(question)
        text = question.text.split("<report> ")[1].split(" </report>")[0]
        reply_ = "\n".join(f"- {one}" for one in text.rstrip(".").replace(". ", " and ").split(" and "))
        assert question.reads(reply_)
        assert not question.reads("\n--\n")
        return reply_


async def test_a_judge_may_list_the_findings():
    judge = ListingJudge()

    score = await scored("Small left effusion and no pneumothorax. Enlarged heart.", judge, split="judge")

    assert score.value == 1.0
    assert len(judge.written) == 2


def test_a_judge_that_only_votes_cannot_list_them():
    with pytest.raises(ConfigError, check=only(("reward.signals.findings.split", "judge-cannot-write"))):
        FindingsReward(judge=VotingJudge(judges=[ScriptedJudge(True)]), split="judge")


@pytest.mark.parametrize(("judge", "refused"), [("ensemble.voting.VotingJudge", True), ("judge.ChatJudge", False)])
def test_a_check_says_so_without_building_the_judge(judge, refused):
    node = settings("report")
    node.signals.findings.update({"split": "judge", "judge": {"_target_": f"medix_r1.models.{judge}"}})

    found = [(problem.key, problem.code) for problem in reward_problems(node)]

    assert (("reward.signals.findings.split", "judge-cannot-write") in found) is refused


@pytest.mark.parametrize(
    ("options", "key", "code"),
    [
        ({"split": "model"}, "split", "not-a-choice"),
        ({"compare": "all"}, "compare", "not-a-choice"),
        ({"normal": 0}, "normal", "out-of-range"),
        ({"normal": 1.5}, "normal", "out-of-range"),
        ({"repeats": 0.5}, "repeats", "out-of-range"),
        ({"longest": float("nan")}, "longest", "out-of-range"),
        ({"max_bytes": 0}, "max_bytes", "out-of-range"),
        ({"costs": {"side": -1}}, "costs.side", "out-of-range"),
        ({"costs": {"side": True}}, "costs.side", "out-of-range"),
        ({"costs": {"sides": 1}}, "costs.sides", "no-such-key"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_key(options, key, code):
    with pytest.raises(ConfigError, check=only((f"reward.signals.findings.{key}", code))):
        FindingsReward(judge=ScriptedJudge(), **options)


def test_all_problems_come_together():
    with pytest.raises(ConfigError) as refused:
        FindingsReward(judge=ScriptedJudge(), split="x", costs={"a": 1}, longest=0, max_bytes=-1)

    assert len(refused.value.problems) == 4
