"""A policy that learns to answer from the wording stops looking, and the alarm says so; the plain demo rings none."""

from __future__ import annotations

from pathlib import Path

import pytest

from medix_r1.demo.rows import labels
from medix_r1.runs.folder import RunFolder, read_lines
from tests.e2e.conftest import FinishedRun, medix, train
from tools.nano.leading import NAMES, write_leading

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

ALARM, GAP = "stops_looking", "looking/real_minus_shuffled"
STEPS = 20


@pytest.fixture(scope="module")
def overrides(demo: Path) -> list[str]:
    return [
        "experiment=nano_cpu",
        f"demo_dir={demo}",
        f"trainer.total_training_steps={STEPS}",
        "trainer.test_freq=5",
        f"trainer.save_freq={STEPS}",
        "run.looking.share=1",
        "run.looking.kinds=[shuffled]",
    ]


@pytest.fixture(scope="module")
def plain(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return train(tmp_path_factory.mktemp("plain"), overrides, timeout=1500)


@pytest.fixture(scope="module")
def planted(
    plain: FinishedRun, demo: Path, overrides: list[str], tmp_path_factory: pytest.TempPathFactory
) -> FinishedRun:
    """On rows whose wording gives the answer away and whose pictures were mixed, from where the plain run ended."""
    policy = tmp_path_factory.mktemp("policy") / "merged"
    code, output = medix("merge", str(plain.folder.root), "--out", str(policy))
    assert code == 0, output
    write_leading(demo / "data", labels.load(), is_mixed=True)
    more = [
        f"actor_rollout_ref.model.path={policy}",
        f"data.train_files={demo / 'data' / NAMES[True]}",
        "actor_rollout_ref.actor.optim.lr=5e-4",
    ]
    return train(tmp_path_factory.mktemp("planted"), [*overrides, *more], timeout=1500)


def gaps(folder: RunFolder) -> dict[int, float]:
    return {step: metrics[GAP] for step, metrics in folder.metrics_by_step().items() if GAP in metrics}


def rung(folder: RunFolder) -> list[int]:
    return [e["step"] for e in read_lines(folder.events) if e["event"] == "alarm" and e["name"] == ALARM]


def test_the_plain_demo_learns_to_look_and_rings_no_alarm(plain: FinishedRun) -> None:
    found = gaps(plain.folder)
    assert list(found) == list(range(0, STEPS + 1, 5))
    assert found[STEPS] > found[0]
    assert rung(plain.folder) == []


def test_the_alarm_rings_where_the_wording_is_enough(planted: FinishedRun) -> None:
    found = gaps(planted.folder)
    assert found[STEPS] < found[0] - 0.06
    assert rung(planted.folder), f"gaps {found}"


def test_what_was_asked_again_can_be_read(plain: FinishedRun) -> None:
    code, output = medix("samples", str(plain.folder.root), "--split", "looking_shuffled", "--limit", "1")
    assert code == 0, output
