"""Reads the folders of several runs and groups those that differ only in their seed, for `medix-r1 compare`."""

from __future__ import annotations

import glob
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from statsmodels.stats.weightstats import DescrStatsW

from medix_r1.agreement import Interval
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.yaml_text import read_yaml
from medix_r1.runs import provenance
from medix_r1.runs.folder import RunFolder

PARTS = ("overall", "llm", "embed", "format", "modality", "exact")
# The paper's weights on the means of the parts, to compare runs whose own rewards are weighted differently.
PAPER_WEIGHTS = {"llm": 0.5175, "embed": 0.3375, "format": 0.10, "modality": 0.045}
# What stated confidences are worth (medix_r1/calibration.py), where the reward has the signal `calibration`.
CALIBRATION = {
    "brier": "Brier",
    "best_constant": "best constant",
    "ece": "ECE",
    "auroc": "AUROC",
    "aurc": "AURC",
    "at_coverage": "right at 80 %",
}
HELD_OUT, TRAINING = "selection", "reward"
_SEEDS = ("run.seed", "data.seed", "hydra.", "run.dir", "run.name")  # overrides that may differ within a group


@dataclass(frozen=True, slots=True)
class Run:
    """One run, read from its folder.

    Attributes:
        root: the folder.
        overrides: of its command line; empty when they were not recorded.
        seed: of the run.
        metrics: by step, then by name.
    """

    root: Path
    overrides: tuple[str, ...]
    seed: int
    metrics: Mapping[int, Mapping[str, float]]

    def series(self, part: str, where: str, measure: str = "mean") -> dict[int, float]:
        """A part's mean, or another measure, by step; `where` is `TRAINING` or `HELD_OUT`."""
        key = f"{where}/{part}/{measure}"
        return {step: values[key] for step, values in self.metrics.items() if key in values}

    def paper_composite(self, step: int) -> float | None:
        """The held-out composite of a step with the paper's weights; None when the run does not measure every part."""
        means = [self.series(part, HELD_OUT).get(step) for part in PAPER_WEIGHTS]
        known = [mean for mean in means if mean is not None]
        if len(known) < len(PAPER_WEIGHTS):
            return None
        # fsum, because np.dot's order of summation, and so the last digit, depends on the processor
        return math.fsum(weight * mean for weight, mean in zip(PAPER_WEIGHTS.values(), known, strict=True))

    @property
    def last_validation(self) -> int | None:
        return max(self.series("overall", HELD_OUT), default=None)

    @property
    def best_validation(self) -> int | None:
        """The step with the highest held-out reward, with the run's own weights."""
        heldout = self.series("overall", HELD_OUT)
        return max(heldout, key=lambda step: heldout[step], default=None)

    @property
    def steps(self) -> int:
        return max(self.series("overall", TRAINING), default=0)

    def total(self, key: str) -> float | None:
        """Sum of a metric over all steps; None when no step has it."""
        values = [values[key] for values in self.metrics.values() if key in values]
        return sum(values) if values else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: over the runs that have a value; None when none has.
        interval: 95 % confidence interval, Student's t over runs; None for fewer than two.
        runs: number of runs that have a value.
    """

    mean: float | None
    interval: Interval | None
    runs: int


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that differ only in their seed."""

    label: str
    runs: Sequence[Run]

    def over_seeds(self, value: Callable[[Run], float | None]) -> Estimate:
        """Mean and confidence interval of a value of each run."""
        return estimate([number for run in self.runs if (number := value(run)) is not None])


def estimate(values: Sequence[float]) -> Estimate:
    """Mean with its 95 % t interval (statsmodels)."""
    if len(values) < 2:
        return Estimate(values[0] if values else None, None, len(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values give an interval of width 0
        low, high = DescrStatsW(np.asarray(values, dtype=float)).tconfint_mean()
    return Estimate(float(np.mean(values)), Interval(float(low), float(high)), len(values))


def read_run_groups(paths: Sequence[str]) -> list[RunGroup]:
    """Read runs and group those that differ only in their seed; runs that have not logged a step are left out.

    Args:
        paths: run folders, folders of runs (such as a sweep's), or glob patterns of them.

    Raises:
        ConfigError: there is no run at a path, or no run has logged a step.
    """
    found = [(path, _folders(path)) for path in paths]
    problems = [
        Problem(str(path), "no-run-there", "no run there (no config.yaml), and no folder of runs")
        for path, folders in found
        if not folders
    ]
    runs = [_read(folder) for folder in dict.fromkeys(folder for _, folders in found for folder in folders)]
    runs = [run for run in runs if run.metrics]
    if problems or not runs:
        raise ConfigError(problems or [Problem(", ".join(paths), "no-step-logged", "no run there has logged a step")])
    shared = set.intersection(*(set(run.overrides) for run in runs))
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_label(run, shared), []).append(run)
    return [RunGroup(label, members) for label, members in groups.items()]


def _folders(path: str) -> list[Path]:
    """The run folders that a path or pattern matches, or those one level below."""
    matches = [Path(match) for match in sorted(glob.glob(path))]
    runs = [match for match in matches if (match / "config.yaml").is_file()]
    below = [config.parent for match in matches if match not in runs for config in sorted(match.glob("*/config.yaml"))]
    return [folder.resolve() for folder in (*runs, *below)]


def _read(root: Path) -> Run:
    folder = RunFolder(root)
    config = read_yaml(folder.config)
    overrides = tuple(str(word) for word in provenance.read(folder).get("overrides", ()))
    return Run(root, overrides, int(config["run"]["seed"]), folder.metrics_by_step())


def _label(run: Run, shared: set[str]) -> str:
    """The overrides that only some runs have; the folder's name when overrides were not recorded."""
    own = [word for word in run.overrides if word not in shared and not word.lstrip("+").startswith(_SEEDS)]
    return " ".join(own) or (run.root.name if not run.overrides else "all alike")
