"""Router replay: vLLM loads new experts and writes routes down; an actor that takes them is ten times nearer to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import FinishedRun, train
from tests.support.mixture import OUTPUT_SCALE, REPLAY, SEED, build_mixture, run_words
from tests.support.replay_probe import run

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2000)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("mixture")
    for seed in (0, 1):
        build_mixture(folder / str(seed), seed)
    run("rollouts", folder / "0", folder / "1", folder / "rollouts.pt")
    seen: dict[str, float] = json.loads(run("actor", folder / "1", folder / "rollouts.pt").splitlines()[-1])
    print(seen)
    return seen


def test_routes_are_written_down(found: dict[str, float]) -> None:
    assert found["routes"] > 1, "of sixteen experts, in every reply"


@pytest.mark.parametrize("rows", ["packed", "padded"])
def test_the_actor_is_ten_times_nearer(found: dict[str, float], rows: str) -> None:
    """New weights in vLLM, too: with the old ones the two would be further apart than any rounding."""
    assert found[f"{rows}, replayed"] < 0.002
    assert found[f"{rows}, replayed"] < found[f"{rows}, own"] / 10


@pytest.fixture(scope="module")
def trained(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Three steps of a sure mixture in bf16, as benchmarks/router_replay_run.py runs it."""
    folder = tmp_path_factory.mktemp("trained")
    build_mixture(folder / "mixture", SEED, output_scale=OUTPUT_SCALE)
    return train(folder / "run", run_words(demo, folder / "mixture", "correction=tis_rs", REPLAY))


def test_a_whole_run_stays_near(trained: FinishedRun) -> None:
    """Each by its own experts, the same run has 0.004 to 0.012 (docs/recipes.md), after updates, too."""
    assert trained.exit_code == 0, trained.output[-3000:]
    steps = [metrics for step, metrics in trained.folder.metrics_by_step().items() if step > 0]
    assert len(steps) == 3
    assert all(step["rollout_corr/k3_kl"] < 0.001 for step in steps)
    assert all(step["actor/grad_norm"] > 0 for step in steps)


def test_no_alarm_says_that_rollouts_leave_the_actor(trained: FinishedRun) -> None:
    assert not [event for event in read_lines(trained.folder.events) if event["event"] == "alarm"]
