"""Provenance of a run: weights are identified by their bytes, not by their path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from safetensors.numpy import save_file

from medix_r1.runs.provenance import fingerprint, weights_fingerprint


@pytest.mark.parametrize("place", [0, -1])
def test_other_weights_under_the_same_name_are_told_apart(tmp_path: Path, place: int):
    weights = np.zeros(3 * 1024**2, dtype=np.float32)
    save_file({"weight": weights}, tmp_path / "model.safetensors")
    before = weights_fingerprint(tmp_path)

    assert weights_fingerprint(tmp_path) == before
    weights[place] = 1.0
    save_file({"weight": weights}, tmp_path / "model.safetensors")

    assert weights_fingerprint(tmp_path).keys() == before.keys() == {"model.safetensors"}
    assert weights_fingerprint(tmp_path) != before


def test_a_hub_name_has_no_fingerprint(tmp_path: Path):
    assert weights_fingerprint(tmp_path / "Qwen" / "Qwen3-VL-8B-Instruct") == {}


def test_the_same_rows_in_another_order_are_other_data(tmp_path: Path):
    """Both files have the same column statistics, so their footers are equal."""
    file = tmp_path / "train.parquet"
    parquet.write_table(pyarrow.table({"question": ["where?", "which?"]}), file)
    before = fingerprint(file)

    assert fingerprint(file) == before
    parquet.write_table(pyarrow.table({"question": ["which?", "where?"]}), file)

    assert fingerprint(file) != before
