"""The demo's rows with a rubric each: what the reference says, that it is said briefly, and that it is not hedged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medix_r1.grammar import parse_reference


def rubric_of(reference: str) -> list[dict[str, Any]]:
    """The rubric of a row by its reference."""
    return [
        {"criterion": f"Names {parse_reference(reference).answer}", "points": 5.0, "tags": ["accuracy"]},
        {"criterion": "Is short", "points": 1.0, "tags": ["form"]},
        {"criterion": "Hedges between several answers", "points": -4.0, "tags": ["accuracy", "safety"]},
    ]


def with_rubrics(source: Path, target: Path) -> Path:
    """A copy of a data file of the demo whose rows have rubrics."""
    table = pq.read_table(source)
    extra = [
        {**info, "rubric": rubric_of(model["ground_truth"])}
        for info, model in zip(table["extra_info"].to_pylist(), table["reward_model"].to_pylist(), strict=True)
    ]
    place = table.schema.get_field_index("extra_info")
    pq.write_table(table.set_column(place, "extra_info", pa.array(extra)), target)
    return target
