"""One real run through every way in which a judge fails: docs/failing_judge.md is the table of what is watched here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import read_lines
from medix_r1.wording.spelling import is_gradable, normalize_answer
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.failing_judge import NO_VERDICT, FailingJudge, asked, opinion
from tests.support.trained_weights import moved_share, shards

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2400)]

SCRIPT = {
    1: "refused connections",
    2: "restart",
    3: "500",
    4: "429 with Retry-After",
    5: "hang",
    6: "garbage",
    7: "an unknown model",
    8: "an answer outside YES/NO",
    9: "a refused question",
    10: "gone",
}
LAST = 9  # finished step
MASKING = [step for step, name in SCRIPT.items() if name in NO_VERDICT]
PASSING = [step for step in range(1, LAST + 1) if step not in MASKING]
LIMITS = ["judge.client.timeout=8", "judge.client.patience=90", "judge.client.unknown_model_patience=12"]


@dataclass(frozen=True)
class Troubled:
    """The run, and the judge that it had."""

    run: FinishedRun
    judge: FailingJudge

    def rows(self, step: int) -> list[dict]:
        return list(read_lines(self.run.folder.samples / "train" / f"{step:06d}.jsonl"))

    def metrics(self, step: int) -> dict[str, float]:
        return self.run.folder.metrics_by_step()[step]


@pytest.fixture(scope="module")
def troubled(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Troubled:
    folder = tmp_path_factory.mktemp("troubled")
    with FailingJudge(folder / "samples" / "train", SCRIPT) as judge:
        overrides = [*stub_overrides(demo, judge.address), *LIMITS]
        overrides += [f"trainer.total_training_steps={LAST + 3}", "trainer.save_freq=-1"]
        return Troubled(train(folder, overrides, timeout=1800.0), judge)


def without_call(row: dict) -> float | None:
    """The judge's part where no judge is asked; None where one is."""
    if row["answer"] is None or not is_gradable(row["answer"]):
        return 0.0
    return 1.0 if normalize_answer(row["answer"]) == normalize_answer(reference(row)) else None


def reference(row: dict) -> str:
    return row["reference"].partition(">")[2]


def never_judged(troubled: Troubled, step: int, row: dict) -> bool:
    """Whether the judge gave no verdict on this row in its step."""
    if without_call(row) is not None:
        return False
    return asked(row["question"], reference(row), row["answer"]) in troubled.judge.refused[step]


def test_each_failure_took_place_and_its_step_was_finished(troubled: Troubled) -> None:
    steps = [step for step, metrics in troubled.run.folder.metrics_by_step().items() if "actor/grad_norm" in metrics]
    assert steps == list(range(1, LAST + 1)), troubled.run.output
    for step in SCRIPT:
        assert troubled.judge.failures[step] > 0, SCRIPT[step]
    for step in PASSING:
        assert troubled.metrics(step)["reward/llm/retries"] > 0, SCRIPT[step]


def test_no_answer_scores_a_zero_that_the_judge_did_not_give(troubled: Troubled) -> None:
    said: Counter[float] = Counter()
    for step in range(1, LAST + 1):
        for row in troubled.rows(step):
            if never_judged(troubled, step, row):
                continue
            plain = without_call(row)
            expected = float(opinion(reference(row), row["answer"]) == "YES") if plain is None else plain
            assert row["parts"]["llm"] == expected, (SCRIPT[step], row)
            said[expected] += plain is None
    assert said[0.0] > 0
    assert said[1.0] > 0  # an answer unlike the reference that the judge likes: a failure would show as a 0 here


def test_passing_failures_mask_nothing(troubled: Troubled) -> None:
    for step in PASSING:
        assert not any(row["masked"] for row in troubled.rows(step)), SCRIPT[step]
        assert troubled.metrics(step)["reward/masked_share"] == 0.0


def test_exactly_what_got_no_verdict_is_masked(troubled: Troubled) -> None:
    for step in MASKING:
        rows = troubled.rows(step)
        masked = [row for row in rows if row["masked"]]
        assert masked
        assert masked == [row for row in rows if never_judged(troubled, step, row)]
        assert all(row["overall"] is None and row["parts"]["llm"] is None and row["failure"] for row in masked)
        assert not any(row["outage"] for row in rows)
        assert troubled.metrics(step)["reward/masked_share"] == pytest.approx(len(masked) / len(rows))


def test_a_lone_survivor_is_not_trained_on(troubled: Troubled) -> None:
    lone = 0
    for step in MASKING:
        rows = troubled.rows(step)
        left = Counter(row["uid"] for row in rows if not row["masked"])
        alone = sum(size == 1 for size in left.values())
        trained = sum(size for size in left.values() if size > 1)
        assert troubled.metrics(step)["reward/dropped_share"] == pytest.approx(1.0 - trained / len(rows))
        lone += alone
    assert lone > 0


def test_the_weights_moved_at_every_step(troubled: Troubled, demo: Path) -> None:
    """A gradient and a rate above 0 at every step, one update of the optimizer a step, and other weights at the end."""
    for step in range(1, LAST + 1):
        assert troubled.metrics(step)["actor/grad_norm"] > 0
        assert troubled.metrics(step)["actor/lr"] > 0
    checkpoint = checkpoints.all_folders(troubled.run.folder.checkpoints)[0]
    assert moved_share(checkpoint, demo / "models" / "policy") > 0.5
    optimizer = shards(checkpoint, "optim")
    assert {int(state["step"]) for state in optimizer["state"].values()} == {LAST}


def test_a_judge_without_its_model_stops_the_run_with_the_last_finished_step(troubled: Troubled) -> None:
    run = troubled.run
    assert run.exit_code == 1
    assert "does not exist" in run.output
    folders = checkpoints.all_folders(run.folder.checkpoints)
    assert [checkpoints.step_of(folder) for folder in folders] == [LAST]
    assert checkpoints.is_whole(folders[0])
