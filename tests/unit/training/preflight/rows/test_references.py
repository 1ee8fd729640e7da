"""Rows whose reference no answer can match: named with file and row; only said where the public rules score them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from medix_r1.training.preflight.rows.references import reference_notices, reference_problems
from tests.support.problems import codes


def written(path: Path, *references: str | None, question: str = "<image>Which?") -> str:
    rows = [
        {
            "prompt": [{"role": "user", "content": question}],
            "reward_model": {"style": "rule", "ground_truth": reference},
            "images": [{"bytes": b"png"}],
        }
        for reference in references
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return str(path)


def config(train: object, val: Sequence[str] = (), parser: str = "strict") -> DictConfig:
    node = {"reward": {"parser": parser, "signals": {}}, "data": {"train_files": train, "val_files": [*val]}}
    return OmegaConf.create(node)


def test_every_row_that_can_never_score_is_named_once(tmp_path: Path) -> None:
    good = written(tmp_path / "good.parquet", "<X_RAY>left lung", "<CT_SCAN>5", "lung")
    bad = written(tmp_path / "bad.parquet", "<X_RAY>left", "<XRAY>lung", "", "<X_RAY>?", "<X_RAY>ok", "<HISTOLOGY>x")

    problems = list(reference_problems(config([good, bad], [bad])))

    assert codes(problems) == [("data.train_files", "never-scores")]
    (text,) = [problem.text for problem in problems]
    assert [part in text for part in ("row 1: <XRAY>", "row 2: ", "row 3: ", "row 5: <HISTOLOGY>")] == [True] * 4
    assert "row 4" not in text
    assert "X_RAY?" in text


def test_many_rows_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.parquet", *[""] * 12)

    (problem,) = reference_problems(config([], [path]))

    assert problem.key == "data.val_files"
    assert problem.text.endswith("and 7 more")


def test_the_public_rules_score_them_and_check_only_says_it(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.parquet", "<XRAY>lung")

    assert list(reference_problems(config(path, parser="public"))) == []
    (notice,) = reference_notices(config(path, parser="public"))
    assert "row 0: <XRAY>" in notice
    assert reference_notices(config(path)) == []


def test_brackets_are_text_in_a_question_without_an_image(tmp_path: Path) -> None:
    path = written(tmp_path / "text.parquet", "<HB> 5 g/dl", question="Which?")
    assert list(reference_problems(config(path))) == []


@pytest.mark.parametrize("rows", [None, [{"a": 1}], [{"reward_model": {"ground_truth": ["a"]}, "prompt": "text"}]])
def test_files_of_another_kind_are_left_to_other_checks(tmp_path: Path, rows: list[dict[str, object]] | None) -> None:
    path = tmp_path / "other.parquet"
    if rows is None:
        path.write_text("no parquet")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    assert list(reference_problems(config([str(path), str(tmp_path / "none.parquet"), "rows.jsonl"]))) == []
