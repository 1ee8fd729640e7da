"""Does it know when it is wrong? Stated confidences against scores, for each task and all together.

A sample counts if it has a score and a readable `<confidence>`. With c the confidence and y the score:

- Brier: mean of (c - y)²; the best constant confidence gets p(1 - p) for 0/1 scores with mean p;
- ECE: expected calibration error, mean of |mean c - mean y| over 10 bins of equal width, weighted by samples;
- AUROC: probability that a right answer (y ≥ 0.5) has a higher confidence than a wrong one, ties counted half;
- risk-coverage: answering only the share of samples with the highest confidence, the mean of 1 - y among them; AURC is
  its mean over all shares, samples of equal confidence taken in proportion.

Intervals are percentile bootstraps over whole clusters, as questions on one image are not independent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medix_r1.agreement import Interval
from medix_r1.errors import DataError
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, flat, number
from medix_r1.evaluation.results.statistics import LEVEL, ONE_CLUSTER, SEED, Estimate
from medix_r1.host.files import atomic_write

BINS = 10
COVERAGE = 0.8
RESAMPLES = 2000
_Numbers = NDArray[np.float64]
_Statistic = Callable[[_Numbers, _Numbers], float]
ALL = "all"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one task's confidences are worth; `task` is `ALL` for all samples together.

    Attributes:
        task: its name.
        said: samples with a score and a confidence.
        silent: samples with a score and no readable confidence.
        accuracy: mean score of those that said one.
        brier, ece, auroc, aurc: as the module's docstring defines them; AUROC is None where all are right or all wrong.
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

    def estimated(statistic: _Statistic) -> Estimate:
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
        constant=float(((score - score.mean()) ** 2).mean()),
    )


def brier(confidence: _Numbers, score: _Numbers) -> float:
    """Mean squared difference; 0 is best."""
    return float(((confidence - score) ** 2).mean())


def ece(confidence: _Numbers, score: _Numbers) -> float:
    """Expected calibration error over bins of equal width; 0 is best."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, confidence - score, BINS)
    return float(np.abs(gaps).sum() / len(score))


def auroc(confidence: _Numbers, score: _Numbers) -> float:
    """Area under the ROC curve of the confidence as a detector of right answers; NaN where all are alike."""
    from scipy.stats import rankdata

    right = score >= 0.5
    hits, misses = int(right.sum()), int((~right).sum())
    if not hits or not misses:
        return float("nan")
    ranks = rankdata(confidence)
    return float((ranks[right].sum() - hits * (hits + 1) / 2) / (hits * misses))


def risks(confidence: _Numbers, score: _Numbers) -> _Numbers:
    """Mean of 1 - score among the k samples with the highest confidence, for k = 1 ... n, shape (n,).

    Among samples of equal confidence the order is not known, so each counts as their mean.
    """
    _, tied = np.unique(-confidence, return_inverse=True)
    means = np.bincount(tied, 1.0 - score) / np.bincount(tied)
    ordered = means[np.sort(tied)]
    found: _Numbers = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return found


def aurc(confidence: _Numbers, score: _Numbers) -> float:
    """Mean risk over all coverages; lower is better, and a useless confidence gets the share of wrong answers."""
    return float(risks(confidence, score).mean())


def at_coverage(confidence: _Numbers, score: _Numbers) -> float:
    """Mean score of the 80 % with the highest confidence."""
    return float(1.0 - risks(confidence, score)[max(1, round(COVERAGE * len(score))) - 1])


def _estimate(statistic: _Statistic, confidence: _Numbers, score: _Numbers, groups: Sequence[str]) -> Estimate:
    names, members = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
    value = statistic(confidence, score)
    if np.isnan(value):
        return Estimate(None, None, len(score), len(names), "all answers are right, or all wrong")
    if len(names) < 2:
        return Estimate(value, None, len(score), len(names), ONE_CLUSTER)
    own = [np.flatnonzero(members == place) for place in range(len(names))]
    random = np.random.default_rng(SEED)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([own[place] for place in random.integers(len(own), size=len(own))])
        drawn.append(statistic(confidence[rows], score[rows]))
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, Interval(float(low), float(high)), len(score), len(names))


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
    """Write calibration.json, .csv, .md and .png (reliability and risk-coverage of all tasks) into a folder."""
    paths = [folder / f"calibration.{end}" for end in ("json", "csv", "md")]
    atomic_write(paths[0], json.dumps(flat_rows(found), indent=1, ensure_ascii=False) + "\n")
    atomic_write(paths[1], csv_text(flat_rows(found)))
    atomic_write(paths[2], sheet(found, model).markdown())
    said = [r for rows in records.values() for r in rows if r.score is not None and r.confidence is not None]
    confidence, score = (
        np.array([getattr(row, name) for row in said], dtype=float) for name in ("confidence", "score")
    )
    return [*paths, _plot(confidence, score, model, folder / "calibration.png")]


def _plot(confidence: _Numbers, score: _Numbers, model: str, path: Path) -> Path:
    from matplotlib import pyplot

    from medix_r1.evaluation.results.forest import label, save  # which chooses a backend without a display

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    there = counts > 0
    said = np.bincount(place, confidence, BINS)[there] / counts[there]
    true = np.bincount(place, score, BINS)[there] / counts[there]
    left.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--")
    left.plot(said, true, color="#0072b2", linewidth=1)
    left.scatter(said, true, s=20 + 300 * counts[there] / counts.sum(), color="#0072b2", alpha=0.7)
    left.set(xlabel="stated confidence", ylabel="mean score", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    left.set_title("dashed: perfectly calibrated; larger: more samples", fontsize=9, loc="left")
    curve = risks(confidence, score)
    right.plot(np.arange(1, len(curve) + 1) / len(curve), curve, color="#d55e00")
    right.axhline(1.0 - float(score.mean()), color="black", linewidth=1, linestyle="--")
    right.set(xlabel="share of questions answered, surest first", ylabel="share wrong", xlim=(0, 1), ylim=(0, 1))
    right.set_title("dashed: a confidence that knows nothing", fontsize=9, loc="left")
    figure.suptitle(label(f"{model}: does it know when it is wrong?", 120), fontsize=11)
    return save(figure, path)
