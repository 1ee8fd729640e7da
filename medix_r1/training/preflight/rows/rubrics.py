"""Rubrics of the data, where the reward reads them: rows without one, criteria that are wrong, tags that no row has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
from omegaconf import DictConfig, OmegaConf

from medix_r1 import user_code
from medix_r1.errors import ConfigError, Problem
from medix_r1.grammar import parse_reference
from medix_r1.host.folders import named_path
from medix_r1.models.rubric import criteria_of, rubric_problems
from medix_r1.rewards.base import NO_MODALITY
from medix_r1.training.preflight.rows.batches import data_files

_SHOWN = 5  # rows that a problem names
_OF_ROW = 3  # problems of one rubric that are shown
_ROWS = 1024  # rows that are read at a time
_OF_A_MODALITY, _OF_A_SOURCE = "modality", "source"


@dataclass(frozen=True, slots=True)
class RubricRow:
    """What a row says of its rubric; `number` is counted from 0, as data frames do."""

    number: int
    source: str
    reference: str
    rubric: Any


def reads_rubrics(config: DictConfig) -> dict[str, str | None]:
    """Signals that read the rows' rubrics → the tag of those that look at one tag alone, else None."""
    found: dict[str, str | None] = {}
    for name, signal in config.reward.signals.items():
        if signal is None:
            continue
        try:
            made = user_code.load(signal.get("_target_"), "_target_")
        except ConfigError:
            continue  # reported when the config was composed
        if getattr(made, "wants_rubric", False):
            found[str(name)] = signal.get("tag")
    return found


def rubric_rows_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of each data file, and a tag that no row of the training data has; nothing without such a signal."""
    signals = reads_rubrics(config)
    if not signals:
        return
    tags: set[str] = set()
    seen: set[str] = set()
    for key in ("train_files", "val_files"):
        for name in data_files(config, key):
            if name not in seen:
                yield from _file_problems(config, f"data.{key}", named_path(name), signals, tags)
            seen.add(name)
    for name, tag in signals.items():
        if tag is not None and tags and tag not in tags:
            known = ", ".join(sorted(tags)[:20])
            says = f"no criterion with positive points has the tag '{tag}'; known: {known}"
            yield Problem(f"reward.signals.{name}.tag", "no-such-tag", says)


def _file_problems(
    config: DictConfig, key: str, path: Path, signals: Mapping[str, str | None], tags: set[str]
) -> Iterator[Problem]:
    without: list[str] = []
    wrong: list[str] = []
    for row in rubric_rows(path):
        if not row.rubric:
            if _weight(config, row, signals) > 0:
                without.append(str(row.number))
        elif problems := rubric_problems(row.rubric):
            wrong.append(f"row {row.number}: {'; '.join(map(str, problems[:_OF_ROW]))}")
        else:
            tags |= {tag for one in criteria_of(row.rubric) if one.points > 0 for tag in one.tags}
    if without:
        says = (
            f"{path} has rows without a rubric, and the reward gives it weight there: row {', '.join(without[:_SHOWN])}"
            f"{_more(without)}; give them one (medix-r1 rubric draft), or weights without it "
            f"(reward.weight_tables.source)"
        )
        yield Problem(key, "no-rubric", says)
    if wrong:
        yield Problem(key, "wrong-rubric", f"{path} has wrong rubrics: {' | '.join(wrong[:_SHOWN])}{_more(wrong)}")


def _more(found: list[str]) -> str:
    return f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""


def _weight(config: DictConfig, row: RubricRow, signals: Mapping[str, str | None]) -> float:
    """The weight that the reward gives to the signals on this row."""
    tables: Any = OmegaConf.to_container(config.reward.weight_tables, resolve=True) or {}
    modality = parse_reference(row.reference).modality or NO_MODALITY
    weights = (tables.get(_OF_A_SOURCE) or {}).get(row.source) or (tables.get(_OF_A_MODALITY) or {}).get(modality)
    return sum(float((weights or config.reward.weights).get(name) or 0.0) for name in signals)


def rubric_rows(path: Path) -> Iterator[RubricRow]:
    """The rows of a data file; none of one that cannot be read, which another check says."""
    if not path.is_file():
        return
    try:
        for number, row in enumerate(_parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path)):
            extra, model = row.get("extra_info"), row.get("reward_model")
            yield RubricRow(
                number,
                str(row.get("data_source") or ""),
                str((model if isinstance(model, Mapping) else {}).get("ground_truth") or ""),
                (extra if isinstance(extra, Mapping) else {}).get("rubric"),
            )
    except (pyarrow.ArrowInvalid, OSError, ValueError):
        return


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with parquet.ParquetFile(path) as file:
        leaves = [file.schema.column(place).path for place in range(len(file.schema))]
        wanted = ("data_source", "reward_model.ground_truth", "extra_info.rubric")
        columns = [name for name in wanted if any(leaf == name or leaf.startswith(f"{name}.") for leaf in leaves)]
        for batch in file.iter_batches(_ROWS, columns=columns):
            yield from batch.to_pylist() if columns else ({} for _ in range(len(batch)))


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    rows = (
        json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines() if line]
    )
    yield from (row for row in rows if isinstance(row, Mapping))
