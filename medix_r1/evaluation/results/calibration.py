"""Does it know when it is wrong? Stated confidences against scores, for each task and all together.

A sample counts if it has a score and a readable `<confidence>`; medix_r1/calibration.py defines the measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medix_r1.calibration import (
    BINS,
    COVERAGE,
    Numbers,
    Statistic,
    at_coverage,
    aurc,
    auroc,
    best_constant,
    bins,
    brier,
    ece,
    interval,
    risks,
)
from medix_r1.errors import DataError
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, flat, number
from medix_r1.evaluation.results.statistics import ONE_CLUSTER, Estimate
from medix_r1.host.files import atomic_write
from medix_r1.pages.style import figure_files, ink, themed_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one task's confidences are worth; `task` is `ALL` for all samples together.

    Attributes:
        task: its name.
        said: samples with a score and a confidence.
        silent: samples with a score and no readable confidence.
        accuracy: mean score of those that said one.
        brier, ece, auroc, aurc: as medix_r1/calibration.py defines them; AUROC is None where all are alike.
        at_coverage: mean score of the 80 % with the highest confidence.
        constant: Brier score of the best constant confidence.
    """

    task: str
    said: int
    silent: int
    accuracy: float
    brier: Estimate
    ece: Estimate
    auroc: Estimate
    aurc: Estimate
    at_coverage: Estimate
    constant: float


def calibrations(records: Mapping[str, Sequence[Record]]) -> list[Calibration]:
    """One entry for each task with confidences, and one for all together if there are several tasks.

    Raises:
        DataError: no reply has a confidence.
    """
    found = [one for task, rows in records.items() if (one := _of(task, rows)) is not None]
    if not found:
        raise DataError(
            "no scored reply says a confidence; evaluate a model that was trained to, with prompt=calibrated "
            "(docs/calibration.md)",
            code="no-confidence",
        )
    if len(found) > 1 and (together := _of(ALL, [row for rows in records.values() for row in rows])) is not None:
        found.append(together)
    return found


def _of(task: str, rows: Sequence[Record]) -> Calibration | None:
    scored = [row for row in rows if row.score is not None]
    said = [row for row in scored if row.confidence is not None]
    if not said:
        return None
    confidence = np.array([row.confidence for row in said], dtype=float)
    score = np.array([row.score for row in said], dtype=float)
    groups = [row.group for row in said]

    def estimated(statistic: Statistic) -> Estimate:
        return _estimate(statistic, confidence, score, groups)

    return Calibration(
        task=task,
        said=len(said),
        silent=len(scored) - len(said),
        accuracy=float(score.mean()),
        brier=estimated(brier),
        ece=estimated(ece),
        auroc=estimated(auroc),
        aurc=estimated(aurc),
        at_coverage=estimated(at_coverage),
        constant=best_constant(score),
    )


def _estimate(statistic: Statistic, confidence: Numbers, score: Numbers, groups: Sequence[str]) -> Estimate:
    value, clusters = statistic(confidence, score), len(set(groups))
    if np.isnan(value):
        return Estimate(None, None, len(score), clusters, "all answers are right, or all wrong")
    if clusters < 2:
        return Estimate(value, None, len(score), clusters, ONE_CLUSTER)
    return Estimate(value, interval(statistic, confidence, score, groups), len(score), clusters)


def sheet(found: Sequence[Calibration], model: str) -> Sheet:
    """The table for people: a row for each task and measure, which fits into 80 columns."""
    rows = [row for one in found for row in _rows(one)]
    notes = [
        "Brier, ECE and AURC are better when lower; an AUROC of 0.5 is a confidence that knows nothing.",
        "ECE is biased upwards where bins hold few samples, and so is its interval.",
        "Saying the same number each time gets a Brier score of at least that of the best constant.",
    ]
    return Sheet(f"{model}: does it know when it is wrong?", ("task", "measure", "value", "interval"), rows, notes)


def _rows(one: Calibration) -> Iterator[list[str]]:
    said = f"{one.said} of {one.said + one.silent}"
    yield [one.task, "replies with a confidence", said, ""]
    yield ["", "score", number(one.accuracy), ""]
    for name, estimate in (
        (f"score at {COVERAGE:.0%}", one.at_coverage),
        ("Brier", one.brier),
        ("ECE", one.ece),
        ("AUROC", one.auroc),
        ("AURC", one.aurc),
    ):
        yield ["", name, number(estimate.value), between(estimate.interval)]
    yield ["", "Brier, best constant", number(one.constant), ""]


def flat_rows(found: Sequence[Calibration]) -> list[dict[str, Any]]:
    """The same as dictionaries, for JSON and CSV."""
    return [
        {
            **{key: value for key, value in asdict(one).items() if not isinstance(value, dict)},
            **{
                key: value
                for name in ("brier", "ece", "auroc", "aurc", "at_coverage")
                for key, value in flat(getattr(one, name), name).items()
            },
        }
        for one in found
    ]


def write(
    found: Sequence[Calibration], records: Mapping[str, Sequence[Record]], model: str, folder: Path
) -> list[Path]:
    """Write calibration.json, .csv, .md and .png (reliability and risk-coverage; dark, too) into a folder."""
    paths = [folder / f"calibration.{end}" for end in ("json", "csv", "md")]
    atomic_write(paths[0], json.dumps(flat_rows(found), indent=1, ensure_ascii=False) + "\n")
    atomic_write(paths[1], csv_text(flat_rows(found)))
    picture = folder / "calibration.png"
    shown = themed_picture(picture, f"Reliability and risk-coverage of {model}")
    atomic_write(paths[2], f"{sheet(found, model).markdown()}\n{shown}")
    said = [r for rows in records.values() for r in rows if r.score is not None and r.confidence is not None]
    confidence, score = (
        np.array([getattr(row, name) for row in said], dtype=float) for name in ("confidence", "score")
    )
    return [*paths, *_plot(picture, confidence, score, model)]


@figure_files
def _plot(confidence: Numbers, score: Numbers, model: str) -> Figure:
    from matplotlib.figure import Figure

    from medix_r1.evaluation.results.forest import label

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    place = bins(confidence)
    counts = np.bincount(place, minlength=BINS)
    there = counts > 0
    said = np.bincount(place, confidence, BINS)[there] / counts[there]
    true = np.bincount(place, score, BINS)[there] / counts[there]
    left.plot([0, 1], [0, 1], color=ink(), linewidth=1, linestyle="--")
    left.plot(said, true, color="C0", linewidth=1)
    left.scatter(said, true, s=20 + 300 * counts[there] / counts.sum(), color="C0", alpha=0.7)
    left.set(xlabel="stated confidence", ylabel="mean score", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    left.set_title("dashed: perfectly calibrated; larger: more samples", fontsize=9, loc="left")
    curve = risks(confidence, score)
    right.plot(np.arange(1, len(curve) + 1) / len(curve), curve, color="C1")
    right.axhline(1.0 - float(score.mean()), color=ink(), linewidth=1, linestyle="--")
    right.set(xlabel="share of questions answered, surest first", ylabel="share wrong", xlim=(0, 1), ylim=(0, 1))
    right.set_title("dashed: a confidence that knows nothing", fontsize=9, loc="left")
    figure.suptitle(label(f"{model}: does it know when it is wrong?", 120), fontsize=11)
    return figure
