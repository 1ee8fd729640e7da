"""Rubrics of the data, before a run: rows without one, wrong ones, tags that no row has, and what needs none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from medix_r1.training.preflight.rows.references import reference_problems
from medix_r1.training.preflight.rows.rubrics import rubric_rows_problems
from tests.support.problems import codes

GOOD = [{"criterion": "Names the drug", "points": 5.0, "tags": ["accuracy"]}]


def row(rubric: Any, source: str = "clinic", reference: str = "") -> dict[str, Any]:
    return {
        "data_source": source,
        "prompt": [{"role": "user", "content": "Which drug?"}],
        "reward_model": {"style": "medix", "ground_truth": reference},
        "extra_info": {"question": "Which drug?", "rubric": rubric},
    }


def written(path: Path, *rows: dict[str, Any]) -> str:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    else:
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return str(path)


def config(train: str, *, tag: str | None = None, tables: Any = None, reads: bool = True) -> DictConfig:
    signals: dict[str, Any] = {"llm": {"_target_": "medix_r1.rewards.llm.JudgeReward"}, "embed": None}
    if reads:
        signals["rubric"] = {"_target_": "medix_r1.rewards.rubrics.signal.RubricReward"}
    if tag is not None:
        signals["part"] = {"_target_": "medix_r1.rewards.rubrics.signal.RubricTag", "needs": ["rubric"], "tag": tag}
    reward = {
        "parser": "strict",
        "signals": signals,
        "weights": {"llm": 0.0, "rubric": 1.0} if reads else {"llm": 1.0},
        "weight_tables": tables or {"source": {}, "modality": {}},
    }
    return OmegaConf.create({"reward": reward, "data": {"train_files": train, "val_files": []}})


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl"])
def test_rows_without_a_rubric_are_named(tmp_path, name) -> None:
    path = written(tmp_path / name, row(GOOD), row([]), row(None), row(GOOD))

    (problem,) = rubric_rows_problems(config(path))

    assert codes([problem]) == [("data.train_files", "no-rubric")]
    assert "row 1, 2;" in problem.text


def test_a_row_whose_source_gives_the_rubric_no_weight_needs_none(tmp_path) -> None:
    path = written(tmp_path / "rows.parquet", row(GOOD), row([], "vqa", "left"))
    tables = {"source": {"vqa": {"llm": 1.0}}, "modality": {}}

    assert list(rubric_rows_problems(config(path, tables=tables))) == []
    assert codes(rubric_rows_problems(config(path))) == [("data.train_files", "no-rubric")]


@pytest.mark.parametrize(
    "rubric",
    [
        [{"criterion": "Names it", "points": float("nan")}],
        [{"criterion": "Names it", "points": 0.0}],
        [{"criterion": "Names it", "points": -1.0}],
        [{"criterion": "Names it", "points": 1.0}] * 2,
        [{"criterion": "Names it", "points": 1.0, "tags": ["no name"]}],
        [{"criterion": f"Names {number}", "points": 1.0} for number in range(500)],
        [{"criterion": "Names it"}],
        [{"points": 1.0}],
        "Names it",
        7,
    ],
)
def test_wrong_rubrics_are_named_with_their_row(tmp_path, rubric) -> None:
    path = written(tmp_path / "rows.jsonl", row(GOOD), row(rubric))

    (problem,) = rubric_rows_problems(config(path))

    assert codes([problem]) == [("data.train_files", "wrong-rubric")]
    assert "row 1: " in problem.text


def test_a_tag_that_earns_nothing_anywhere(tmp_path) -> None:
    harm = {"criterion": "Is rude", "points": -1.0, "tags": ["tone"]}
    path = written(tmp_path / "rows.parquet", row([*GOOD, harm]))

    assert list(rubric_rows_problems(config(path, tag="accuracy"))) == []
    for tag in ("tone", "accurate"):
        assert codes(rubric_rows_problems(config(path, tag=tag))) == [("reward.signals.part.tag", "no-such-tag")]


def test_a_reward_that_reads_no_rubric_asks_for_none(tmp_path) -> None:
    path = written(tmp_path / "rows.parquet", row([{"criterion": "", "points": 0.0}]), row([]))

    assert list(rubric_rows_problems(config(path, reads=False))) == []


def test_a_row_with_a_rubric_needs_no_reference(tmp_path) -> None:
    path = written(tmp_path / "rows.parquet", row(GOOD), row([], "clinic", "left lung"))

    assert list(reference_problems(config(path))) == []
    assert codes(reference_problems(config(path, reads=False))) == [("data.train_files", "never-scores")]
