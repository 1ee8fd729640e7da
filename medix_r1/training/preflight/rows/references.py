"""Rows of the data against whose reference no answer can earn anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medix_r1.data.row import IMAGE_MARK
from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.rewards.references import Fault, fault_of
from medix_r1.training.preflight.rows.batches import data_files
from medix_r1.training.preflight.rows.data_files import SUFFIXES, UnreadableFile, read_columns
from medix_r1.training.preflight.rows.rubrics import reads_rubrics, rubric_rows

_SHOWN = 5  # rows that a problem names


def reference_problems(config: DictConfig) -> Iterator[Problem]:
    """A problem for each data file with such rows; none with `parser: public`, which scores them."""
    if config.reward.parser != "public":
        yield from _found(config)


def reference_notices(config: DictConfig) -> list[str]:
    """With `parser: public`, what `reference_problems` would say: the run is worth less, and works."""
    return [str(problem) for problem in _found(config)] if config.reward.parser == "public" else []


def _found(config: DictConfig) -> Iterator[Problem]:
    seen: set[str] = set()
    by_rubric = bool(reads_rubrics(config))
    for key in ("train_files", "val_files"):
        for name in data_files(config, key):
            if name not in seen and (faults := _faults(named_path(name), by_rubric=by_rubric)):
                rows = "; ".join(f"row {row}: {fault.text}" for row, fault in faults[:_SHOWN])
                more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
                text = f"{name} has rows whose reference no answer can match: {rows}{more}"
                yield Problem(f"data.{key}", "never-scores", text)
            seen.add(name)


def _faults(path: Path, *, by_rubric: bool) -> list[tuple[int, Fault]]:
    """(row, fault) of a file; rows are counted from 0, as data frames do. Other files and layouts have none.

    Args:
        path: the file.
        by_rubric: the reward reads rubrics, so that a row with one needs no reference.
    """
    if not path.is_file() or path.suffix not in SUFFIXES:
        return []
    try:
        references = [(row["reward_model"] or {}).get("ground_truth") for row in read_columns(path, ["reward_model"])]
        texts = [(row, text) for row, text in enumerate(references) if isinstance(text, str)]
        wrong = [(row, text) for row, text in texts if fault_of(text) is not None]
        prompts = [row["prompt"] for row in read_columns(path, ["prompt"])] if wrong else []  # long, and seldom needed
        found = [(row, fault_of(text, has_image=_shows_one(prompts[row]))) for row, text in wrong]
    except (UnreadableFile, AttributeError, LookupError):  # broken, or of another layout
        return []
    told = [(row, fault) for row, fault in found if fault is not None]
    if by_rubric and any(fault.code == "empty-reference" for _, fault in told):
        with_rubric = {row.number for row in rubric_rows(path) if row.rubric}
        return [(row, fault) for row, fault in told if fault.code != "empty-reference" or row not in with_rubric]
    return told


def _shows_one(messages: Any) -> bool:
    """Whether a prompt in verl's layout shows an image."""
    return any(IMAGE_MARK in str(message.get("content")) for message in messages or ())
