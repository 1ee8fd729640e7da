"""A run draws rows by an estimate that it corrects, goes on exactly where it was, and its updates can be done again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import FinishedRun, medix, stub_overrides, train
from tests.support.judge_stub import JudgeStub
from tests.support.problems import numbers

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

STEPS = 4
OVERRIDES = [
    *["data.curriculum.weigh=adapt", "run.samples.tokens=true"],
    *["trainer.save_freq=1", "run.keep_checkpoints=null"],
]


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeStub]:
    with JudgeStub() as server:
        yield server


@pytest.fixture(scope="module")
def straight(demo: Path, judge: JudgeStub, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    words = [*stub_overrides(demo, judge.address), *OVERRIDES]
    return train(tmp_path_factory.mktemp("straight"), [*words, f"trainer.total_training_steps={STEPS}"])


@pytest.fixture(scope="module")
def resumed(demo: Path, judge: JudgeStub, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder, words = tmp_path_factory.mktemp("resumed"), [*stub_overrides(demo, judge.address), *OVERRIDES]
    train(folder, [*words, "trainer.total_training_steps=2"])
    return train(folder, [*words, f"trainer.total_training_steps={STEPS}"])


def rows(run: FinishedRun, step: int) -> list[tuple[str, str]]:
    return [(line["row_id"], line["reply"]) for line in read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl")]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_resumed_run_draws_the_same_rows(straight: FinishedRun, resumed: FinishedRun, step: int) -> None:
    assert resumed.first_step == 3
    assert rows(resumed, step) == rows(straight, step)
    one, other = (run.folder.metrics_by_step()[step] for run in (straight, resumed))
    assert one["actor/grad_norm"] == other["actor/grad_norm"]
    names = {name for name in one if name.startswith("curriculum/")}
    assert len(names) == 5
    assert {name: one[name] for name in names} == {name: other[name] for name in names}


def replayed(run: FinishedRun, step: int, *words: str) -> str:
    code, output = medix("replay", str(run.folder.root), "--step", str(step), *words)
    assert code == 0, output
    return output


@pytest.mark.parametrize("step", [1, STEPS])
def test_the_update_again_is_equal_bit_for_bit(straight: FinishedRun, judge: JudgeStub, step: int) -> None:
    said = [line for line in replayed(straight, step).splitlines() if "gradient norm" in line]

    assert "equal bit for bit" in said[0]
    assert repr(straight.folder.metrics_by_step()[step]["actor/grad_norm"]) in said[0]


def test_another_reward_makes_another_update(straight: FinishedRun, judge: JudgeStub) -> None:
    weights = [f"reward.weights.{name}={value}" for name, value in (("llm", 0.0), ("embed", 0.855))]

    (said,) = [line for line in replayed(straight, STEPS, *weights).splitlines() if "gradient norm" in line]

    now, then = numbers(said)[-2:]
    assert now != then == pytest.approx(straight.folder.metrics_by_step()[STEPS]["actor/grad_norm"])


def test_without_the_checkpoint_it_says_why(straight: FinishedRun, judge: JudgeStub) -> None:
    folder = straight.folder.checkpoints / "global_step_2"
    folder.rename(folder.with_name("elsewhere"))

    output = replayed(straight, 3)

    assert "not done again" in output
    assert "run.keep_checkpoints" in output
