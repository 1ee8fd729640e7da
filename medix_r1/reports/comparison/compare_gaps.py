"""Warnings of a comparison: missing or unfinished runs, and differences between runs that labels do not show."""

from __future__ import annotations

import glob
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from medix_r1.host.yaml_text import read_yaml
from medix_r1.reports.run_groups import Run, RunGroup
from medix_r1.runs import provenance, saved_config, sweep_record
from medix_r1.runs.folder import RunFolder
from medix_r1.training.command import resume

# Keys that depend on a run's seed and name; all others should be equal within a group.
OF_A_SEED = (
    *("run.seed", "data.seed", "actor_rollout_ref.rollout.seed"),
    *("run.name", "trainer.experiment_name", "actor_rollout_ref.rollout.trace.experiment_name"),
)
_NAMED = 4  # differing keys that a warning names


def gaps(paths: Sequence[str], groups: Sequence[RunGroup]) -> list[str]:
    """One sentence for each warning."""
    runs = [run for group in groups for run in group.runs]
    return [*_missing(paths, runs), *_unfinished(runs), *_differing_configs(groups), *_differing_provenance(runs)]


def _missing(paths: Sequence[str], runs: Sequence[Run]) -> Iterator[str]:
    compared = {run.root for run in runs}
    for folder in (Path(match).resolve() for path in paths for match in sorted(glob.glob(path))):
        names = [name for name in sweep_record.read(folder) if folder / name not in compared]
        if names:
            yield f"Not in here, because they have not logged a step: {', '.join(names)}."


def _unfinished(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        config = read_yaml(run.root / "config.yaml")
        total = config.get("trainer", {}).get("total_training_steps")
        folder = RunFolder(run.root)
        if total is None:  # the run ends after its epochs, whose number of steps the config does not have
            if folder.events.exists() and not folder.ended_by_itself:
                yield f"{run.root.name} has reached step {run.steps} and did not end by itself."
        elif run.steps < total:
            yield f"{run.root.name} has reached step {run.steps} of {total}."


def _differing_configs(groups: Sequence[RunGroup]) -> Iterator[str]:
    for group in groups:
        first, *others = (run.root / "config.yaml" for run in group.runs)
        found = {
            difference.key
            for other in others
            for difference in resume.differences(first, DictConfig(saved_config.read(other)))
            if not difference.safe and difference.key not in OF_A_SEED
        }
        if found:
            keys = ", ".join(sorted(found)[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
            yield f"The runs of '{group.label}' are not alike but for their seed; they differ in {keys}."
        if len({run.seed for run in group.runs}) < len(group.runs):
            yield f"'{group.label}' holds a seed twice: its interval is too narrow."


def _differing_provenance(runs: Sequence[Run]) -> Iterator[str]:
    records = [record for run in runs if (record := provenance.read(RunFolder(run.root)))]
    for name, what in (("code", "by different code"), ("data", "on different data")):
        if len({json.dumps(record.get(name)) for record in records}) > 1:
            yield f"The runs were made {what} (provenance.json)."
    weights: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        for model, files in record.get("models", {}).items():
            weights[model].add(json.dumps(files, sort_keys=True))
    for model, found in weights.items():
        if len(found) > 1:
            yield f"{model} did not hold the same weights for all runs (provenance.json)."
