"""Rows that verl packs into one see only themselves, in every architecture that packs rows, through verl's patches.

SmolVLM2 packs none: verl's packed attention supports the Qwen families only (docs/models.md). For Qwen2.5-VL verl calls
flash-attn itself, whatever the attention.
"""

from pathlib import Path

import pytest

from medix_r1.demo.rows import labels
from tests.support.packed_rows import PICTURES, differences
from tools.nano.twins import build_twin

CASES = [
    ("qwen3_vl", "sdpa"),
    ("qwen3_vl", "torch_varlen"),
    ("qwen3_vl_moe", "sdpa"),
    ("qwen3_vl_moe", "torch_varlen"),
    ("qwen2_5_vl", "sdpa"),
]


@pytest.mark.parametrize(("architecture", "attention"), CASES)
def test_packed_rows_equal_rows_alone(architecture: str, attention: str, nano_policy: Path, tmp_path: Path) -> None:
    folder = nano_policy
    if architecture != "qwen3_vl":
        build_twin(folder := tmp_path / "twin", architecture, labels.load())
    rows = differences(folder, attention)
    assert len(rows) == len(PICTURES)
    for row in rows:
        assert row["scale"] > 0.1
        assert row["difference"] < 1e-4 * row["scale"], row
