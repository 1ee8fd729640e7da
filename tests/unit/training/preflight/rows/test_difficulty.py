"""Pass rates that a curriculum needs: rows that have none, or other numbers, and bands that leave too little."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.difficulty import curriculum_problems, difficulty_problems
from tests.support.configs import set_in
from tests.support.problems import codes

BAND, WEIGH = "data.curriculum.band", "data.curriculum.weigh"


def written(folder: Path, rates: Sequence[Any], name: str = "train.parquet") -> Path:
    file = folder / name
    rows = [
        {"extra_info": {"index": place} | ({} if rate == "" else {"difficulty": rate})}
        for place, rate in enumerate(rates)
    ]
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=4)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def found(files: Sequence[Path], **values: Any) -> list[tuple[str, str]]:
    named = {"data.train_files": [str(file) for file in files], "data.train_batch_size": 4}
    return codes(difficulty_problems(set_in("experiment=nano_cpu", **(named | values))))


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl"])
def test_right_rows_have_no_problem(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, [0.0, 0.25, 0.5, 0.75, 1.0, 0.5], name)

    assert found([file], **{BAND: [0.25, 0.75]}) == []
    assert found([file], **{WEIGH: "difficulty"}) == []


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl"])
@pytest.mark.parametrize("rates", [[""] * 5, [0.5, None, 0.5, 0.5, 0.5]])
def test_rows_without_a_rate(tmp_path: Path, rates: list[Any], name: str) -> None:
    file = written(tmp_path, rates, name)

    assert found([file], **{BAND: [0.1, 0.9]}) == [(BAND, "no-difficulty")]
    assert found([file], **{WEIGH: "difficulty"}) == [(WEIGH, "no-difficulty")]
    assert found([file], **{WEIGH: "adapt"}) == []
    assert found([file]) == []


def test_one_file_of_two_without_rates(tmp_path: Path) -> None:
    files = [written(tmp_path, [0.5] * 5, "a.parquet"), written(tmp_path, [""] * 5, "b.parquet")]

    assert found(files, **{BAND: [0.1, 0.9]}) == [(BAND, "no-difficulty")]


@pytest.mark.parametrize("rate", [1.5, -0.1, float("nan")])
def test_numbers_that_are_no_rates(tmp_path: Path, rate: float) -> None:
    assert found([written(tmp_path, [0.5, rate] * 4)], **{WEIGH: "difficulty"}) == [(WEIGH, "not-a-pass-rate")]


def test_texts_are_no_rates(tmp_path: Path) -> None:
    assert found([written(tmp_path, ["hard"] * 8)], **{BAND: [0, 1]}) == [(BAND, "not-a-pass-rate")]


@pytest.mark.parametrize("band", [[0.4, 0.6], [0.9, 1.0]])
def test_a_band_that_leaves_no_step(tmp_path: Path, band: list[float]) -> None:
    file = written(tmp_path, [0.1, 0.2, 0.3, 0.5, 0.8])

    assert found([file], **{BAND: band}) == [(BAND, "band-empty")]


def test_steps_are_those_of_the_band(tmp_path: Path) -> None:
    file = written(tmp_path, [0.0, 0.5] * 10)
    named = {"data.train_files": [str(file)], "data.train_batch_size": 4}

    rows = [
        batches.of_config(set_in("experiment=nano_cpu", **named, **band)).train_rows for band in ({}, {BAND: [0.1, 1]})
    ]

    assert rows == [20, 10]


def asked(*overrides: str, **values: Any) -> list[tuple[str, str]]:
    return codes(curriculum_problems(set_in("experiment=nano_cpu", *overrides, **values)))


@pytest.mark.parametrize("band", [[0.9, 0.1], [0.5], [0.1, 0.5, 0.9]])
def test_what_is_no_band(band: list[float]) -> None:
    assert asked(**{BAND: band}) == [(BAND, "not-a-band")]


def test_settings_that_do_not_go_with_a_curriculum() -> None:
    assert asked(**{WEIGH: "adapt"}) == []
    assert asked(**{"data.dataloader_num_workers": 8}) == []
    assert asked(**{WEIGH: "adapt", "data.dataloader_num_workers": 8}) == [
        ("data.dataloader_num_workers", "draws-ahead")
    ]
    assert asked(**{WEIGH: "adapt", "data.shuffle": False}) == [("data.shuffle", "switches-disagree")]
    assert asked(**{BAND: [0, 1], "data.train_max_samples": 9}) == [("data.train_max_samples", "switches-disagree")]
    assert asked(**{WEIGH: "adapt", "data.curriculum.signal": "lm"}) == [("data.curriculum.signal", "no-such-signal")]
    assert asked(**{WEIGH: "adapt", "trainer.v1.trainer_mode": "separate_async"}) == [(WEIGH, "not-our-trainer")]
