"""A real run with a judge of two minds: the demo's judge is the small one, a stub with the labels the strong one."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from medix_r1.runs.folder import read_lines
from medix_r1.scoring.judging import band
from medix_r1.scoring.judging.kinds import Rated
from medix_r1.wording.spelling import normalize_answer
from tests.e2e.conftest import NO_WARM_UP, FinishedRun, train
from tests.support.judge_stub import MODEL, JudgeStub
from tools.nano.judge.families import Pair
from tools.nano.judge.model import leanings, load_judge
from tools.nano.judge.own import accepted_with, demo_facts
from tools.nano.judge.pairs import read_pairs, training_pairs

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]
STEPS, LOW, HIGH = 3, 0.000246, 0.757
REFUSED = 5  # each such call of the strong judge is refused
_FIELD = re.compile(r"^(Question|Reference|Prediction): (.*)$", re.MULTILINE)
_LEANING = re.compile(r"P\(YES\) ([0-9.e-]+)\)")


def knows_the_labels(prompt: str) -> str:
    asked = dict(_FIELD.findall(prompt))
    return "YES" if is_right(asked["Reference"], asked["Prediction"]) else "NO"


def is_right(reference: str, answer: str) -> bool:
    """Whether the demo's labels accept an answer, by any of its questions."""
    accepted = {text for fact in demo_facts() for text in accepted_with(reference, fact)}
    return normalize_answer(answer) in {normalize_answer(text) for text in accepted}


@pytest.fixture(scope="module")
def strong() -> JudgeStub:
    stub = JudgeStub(knows_the_labels)
    refusal = (400, {}, b'{"error": {"message": "no"}}')
    stub.behave = lambda call: refusal if call % REFUSED == 0 else None
    return stub


@pytest.fixture(scope="module")
def run(strong: JudgeStub, demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    with strong:
        overrides = [
            *["experiment=nano_cpu", f"demo_dir={demo}", "judge=nano_cascade", NO_WARM_UP],
            *[f"judge.client.strong.base_url={strong.address}", f"judge.client.strong.model={MODEL}"],
            *["judge.client.strong.prompt=match_short", "judge.client.audit_share=0.3"],
            *["data.train_batch_size=8", f"trainer.total_training_steps={STEPS}"],
            *["trainer.val_before_train=false", "trainer.test_freq=-1", "trainer.save_freq=-1"],
            *["run.stall_limit=700", "run.silence_limit=1400"],
        ]
        return train(tmp_path_factory.mktemp("cascade"), overrides, timeout=1400.0)


def asked_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Without the exact matches, which no judge is asked about."""
    return [one for one in pairs if normalize_answer(one.reference) != normalize_answer(one.prediction)]


def test_bands_chosen_on_training_pairs_agree_on_held_out_ones(demo: Path) -> None:
    judge = load_judge(demo / "models" / "judge")

    def rated(pairs: Sequence[Pair]) -> list[Rated]:
        scores = leanings(*judge, pairs)
        return [
            Rated("", 1 / (1 + math.exp(-score)), float(pair.label)) for pair, score in zip(pairs, scores, strict=True)
        ]

    heldout = rated(asked_pairs(read_pairs()))
    training = rated(asked_pairs(list(itertools.islice(training_pairs(11), 4000))))
    for share, wanted in ((0.25, 0.93), (0.4, 0.96)):
        point = band.measure(heldout, band.choose(training, share), share)
        assert point.share <= share
        assert point.agreement.share >= wanted
    assert band.alone(heldout).share < 0.9


def judged(run: FinishedRun) -> list[dict]:
    """The samples that a judge was asked about."""
    samples = [
        row for step in range(1, STEPS + 1) for row in read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl")
    ]
    return [row for row in samples if "judge" in row["reasons"]["llm"] or row["parts"]["llm"] is None]


def test_it_trains(run: FinishedRun) -> None:
    assert run.exit_code == 0, run.output
    assert sorted(run.folder.metrics_by_step()) == list(range(1, STEPS + 1))


def test_the_small_judge_decides_what_it_is_sure_of(run: FinishedRun) -> None:
    sure = [row for row in judged(run) if "(small judge" in row["reasons"]["llm"]]
    assert sure
    for row in sure:
        found = _LEANING.search(row["reasons"]["llm"])
        assert found is not None
        assert row["parts"]["llm"] == float(float(found[1]) > HIGH)
        assert not LOW <= float(found[1]) <= HIGH


def test_the_strong_judge_decides_the_rest(run: FinishedRun) -> None:
    decided = [row for row in judged(run) if "(strong judge" in row["reasons"]["llm"]]
    assert decided
    for row in decided:
        assert row["parts"]["llm"] == float(is_right(row["reference"].rpartition(">")[2].strip(), row["answer"]))


def test_a_question_that_the_strong_judge_refuses_is_masked(run: FinishedRun) -> None:
    lost = [row for row in judged(run) if row["parts"]["llm"] is None]
    assert lost
    assert all(row["masked"] for row in lost)
    assert all("judge" not in row["reasons"]["llm"].partition("failed")[0] for row in lost)


def test_the_metrics_count_both_and_estimate_how_they_agree(run: FinishedRun, strong: JudgeStub) -> None:
    steps = run.folder.metrics_by_step()
    last = steps[STEPS]
    total = {name: sum(step[f"reward/llm/{name}"] for step in steps.values()) for name in ("asked", "strong/calls")}
    assert 0 < total["strong/calls"] < total["asked"]
    assert total["strong/calls"] < len(strong.calls), "the check before the run asks a question, too"
    assert last["reward/llm/estimated_from"] > 0
    assert last["reward/llm/estimated_agreement_low"] < last["reward/llm/estimated_agreement_high"]
    assert 0 <= last["reward/llm/estimated_error"] <= 1
