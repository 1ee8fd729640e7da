"""Reads a run's metrics back from its trackers, and works them out again from the samples that it wrote."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medix_r1.runs.folder import RunFolder, read_lines

Metrics = dict[int, dict[str, float]]  # step -> name -> value


def from_file(run: RunFolder) -> Metrics:
    return run.metrics_by_step()


def from_tensorboard(run: RunFolder) -> Metrics:
    events = EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0})
    events.Reload()
    steps: Metrics = {}
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            steps.setdefault(event.step, {})[tag] = event.value
    return steps


TRACKERS: Mapping[str, Callable[[RunFolder], Metrics]] = {"file": from_file, "tensorboard": from_tensorboard}


def has_every_part_at_every_step(run: RunFolder, tracker: str) -> None:
    """Fails unless each part's mean, deviation and masked share stand at every step that trained."""
    logged = TRACKERS[tracker](run)
    steps = [step for step, metrics in from_file(run).items() if "actor/grad_norm" in metrics]
    assert steps
    for step in steps:
        rows = list(read_lines(run.samples / "train" / f"{step:06d}.jsonl"))
        for part in ("overall", *rows[0]["parts"]):
            column = [row["overall"] if part == "overall" else row["parts"][part] for row in rows]
            values = [value for value in column if value is not None]
            if values:
                assert logged[step][f"reward/{part}/mean"] == pytest.approx(statistics.fmean(values), abs=1e-6)
                assert logged[step][f"reward/{part}/std"] == pytest.approx(statistics.pstdev(values), abs=1e-6)
            missing = 1.0 - len(values) / len(rows)
            assert logged[step][f"reward/{part}/masked_share"] == pytest.approx(missing, abs=1e-6)
