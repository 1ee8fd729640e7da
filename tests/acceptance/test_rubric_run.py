"""A real run with rubrics: a stub judge in a process of its own answers about criteria, and tags are parts for GDPO."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medix_r1.reports.run_report import write_report
from medix_r1.runs.folder import read_lines
from medix_r1.serving.server import free_port
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.criteria_stub import met
from tests.support.rubric_rows import with_rubrics

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

STEPS = 2
TAG = "+reward.signals.{0}={{_target_:medix_r1.rewards.rubrics.signal.RubricTag,needs:[rubric],tag:{0}}}"


@contextlib.contextmanager
def criteria_judge() -> Iterator[str]:
    """The address of a stub judge of criteria, in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.support.criteria_stub", str(port)])
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    """Until something listens there."""
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)


@pytest.fixture(scope="module")
def run(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run")
    files = {
        name: with_rubrics(demo / "data" / name, data / name) for name in ("train.parquet", "heldout_views.parquet")
    }
    with criteria_judge() as address:
        overrides = [one for one in stub_overrides(demo, address) if not one.startswith("judge.client.prompt")]
        return train(
            folder,
            [
                *overrides,
                *["reward=rubric", "algorithm=gdpo", TAG.format("accuracy"), TAG.format("form")],
                *["reward.weights.rubric=0", "+reward.weights.accuracy=0.7", "+reward.weights.form=0.2"],
                *[f"data.train_files={files['train.parquet']}", f"data.val_files={files['heldout_views.parquet']}"],
                *[f"trainer.total_training_steps={STEPS}", "trainer.save_freq=-1"],
            ],
        )


def test_it_ends_and_every_sample_has_its_criteria(run: FinishedRun) -> None:
    assert run.exit_code == 0, run.output
    for step in range(1, STEPS + 1):
        rows = list(read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"))
        assert rows
        for row in rows:
            if row["answer"] is None:
                assert row["parts"]["rubric"] == 0.0
                continue
            details = row["details"]["rubric"]
            assert [one["met"] for one in details] == [met(one["text"], row["answer"]) for one in details]
            accuracy = [one["points"] for one in details if "accuracy" in one["tags"] and one["met"]]
            assert row["parts"]["accuracy"] == pytest.approx(max(0.0, sum(accuracy) / 5.0))


def test_the_report_shows_criteria_and_tags(run: FinishedRun) -> None:
    page = write_report(run.folder.root).read_text(encoding="utf-8")
    assert 'id="criteria"' in page
    assert "Hedges between several answers" in page
    assert "reward/rubric/criteria" in run.folder.metrics_by_step()[STEPS]
