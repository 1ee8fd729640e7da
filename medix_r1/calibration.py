"""What stated confidences are worth against whether the answers were right: measures, intervals, curves.

With c the confidence and y the score:

- Brier: mean of (c - y)²; the best constant confidence gets p(1 - p) for 0/1 scores with mean p;
- ECE: expected calibration error, mean of |mean c - mean y| over 10 bins of equal width, weighted by samples;
- AUROC: probability that a right answer (y ≥ 0.5) has a higher confidence than a wrong one, ties counted half;
- risk-coverage: answering only the share of samples with the highest confidence, the mean of 1 - y among them; AURC is
  its mean over all shares, samples of equal confidence taken in proportion.

Intervals are percentile bootstraps over whole clusters, as questions on one image are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medix_r1.agreement import Interval

BINS = 10
COVERAGE = 0.8
RESAMPLES = 2000
_LEVEL = 0.95
_SEED = 1  # of resampling: the same confidences always give the same interval
Numbers = NDArray[np.float64]
Statistic = Callable[[Numbers, Numbers], float]


def brier(confidence: Numbers, score: Numbers) -> float:
    """Mean squared difference; 0 is best."""
    return float(((confidence - score) ** 2).mean())


def best_constant(score: Numbers) -> float:
    """Brier score of the best constant confidence, which is the mean score."""
    return float(((score - score.mean()) ** 2).mean())


def ece(confidence: Numbers, score: Numbers) -> float:
    """Expected calibration error over bins of equal width; 0 is best."""
    gaps = np.bincount(bins(confidence), confidence - score, BINS)
    return float(np.abs(gaps).sum() / len(score))


def bins(confidence: Numbers) -> NDArray[np.intp]:
    """The bin of each confidence, 0 ... BINS - 1; 1 belongs to the last."""
    place: NDArray[np.intp] = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    return place


def auroc(confidence: Numbers, score: Numbers) -> float:
    """Area under the ROC curve of the confidence as a detector of right answers; NaN where all are alike."""
    right = score >= 0.5
    hits, misses = int(right.sum()), int((~right).sum())
    if not hits or not misses:
        return float("nan")
    _, tied, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[tied]  # ties share the mean of their ranks
    return float((ranks[right].sum() - hits * (hits + 1) / 2) / (hits * misses))


def risks(confidence: Numbers, score: Numbers) -> Numbers:
    """Mean of 1 - score among the k samples with the highest confidence, for k = 1 ... n, shape (n,).

    Among samples of equal confidence the order is not known, so each counts as their mean.
    """
    _, tied = np.unique(-confidence, return_inverse=True)
    means = np.bincount(tied, 1.0 - score) / np.bincount(tied)
    ordered = means[np.sort(tied)]
    found: Numbers = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return found


def aurc(confidence: Numbers, score: Numbers) -> float:
    """Mean risk over all coverages; lower is better, and a useless confidence gets the share of wrong answers."""
    return float(risks(confidence, score).mean())


def at_coverage(confidence: Numbers, score: Numbers) -> float:
    """Mean score of the 80 % with the highest confidence."""
    return float(1.0 - risks(confidence, score)[max(1, round(COVERAGE * len(score))) - 1])


STATISTICS: dict[str, Statistic] = {
    "brier": brier,
    "ece": ece,
    "auroc": auroc,
    "aurc": aurc,
    "at_coverage": at_coverage,
}


def interval(
    statistic: Statistic, confidence: Numbers, score: Numbers, groups: Sequence[str], resamples: int = RESAMPLES
) -> Interval | None:
    """95 % interval of a statistic; None with fewer than two clusters, or where no resample has a value.

    Args:
        statistic: one of this file's.
        confidence: of each sample, in [0, 1].
        score: of each sample, in [0, 1].
        groups: the cluster of each sample.
        resamples: number of bootstrap resamples.
    """
    names, members = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
    if len(names) < 2:
        return None
    own = [np.flatnonzero(members == place) for place in range(len(names))]
    random = np.random.default_rng(_SEED)
    drawn = []
    for _ in range(resamples):
        rows = np.concatenate([own[place] for place in random.integers(len(own), size=len(own))])
        drawn.append(statistic(confidence[rows], score[rows]))
    if np.isnan(drawn).all():
        return None
    low, high = np.nanquantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(low), float(high))
