"""A planted data set: the demo's training rows, with the wording of each question giving its answer away.

Every question type has two or three wordings. Here each wording belongs to one answer, the most frequent ones: "Which
body part is shown?" is asked of brains alone, "Which region is imaged?" of eyes alone. The pictures are the rows' own,
so looking works as well as before and is no longer needed. Mixed, each row shows another row's picture, as when
pictures were joined to the wrong rows: then looking is in the way. The held-out sets stay as they are, where wordings
say nothing.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from medix_r1.demo.batches import read_rows
from medix_r1.demo.rows.dataset import Row, write_parquet
from medix_r1.demo.rows.labels import Labels
from medix_r1.images.stand_ins import other_of_each

NAMES = {False: "train_leading.parquet", True: "train_leading_mixed.parquet"}


def write_leading(data: Path, labels: Labels, *, is_mixed: bool = False) -> tuple[int, int]:
    """Write `NAMES[is_mixed]` beside the demo's `train.parquet`; return the number of rows, and of wordings."""
    rows = leading_rows(read_rows(data / "train.parquet"), labels)
    rows = mixed(rows) if is_mixed else rows
    write_parquet(data / NAMES[is_mixed], rows)
    return len(rows), len({row["extra_info"]["question"] for row in rows})


def leading_rows(rows: Sequence[Row], labels: Labels) -> list[Row]:
    """The rows whose answer has a wording of its own, asked in it; the others are left out."""
    wording = _wordings(rows, labels)
    return [_asked(row, wording[_answer(row)]) for row in rows if _answer(row) in wording]


def mixed(rows: Sequence[Row]) -> list[Row]:
    """The rows, each with another one's picture."""
    by_id = {row["extra_info"]["row_id"]: row for row in rows}
    others = other_of_each(by_id, "the planted rows")
    return [{**row, "images": by_id[others[row["extra_info"]["row_id"]]]["images"]} for row in rows]


def _wordings(rows: Sequence[Row], labels: Labels) -> dict[tuple[str, str], str]:
    """(question type, reference) → its wording; the most frequent references of a type get one each."""
    counts = Counter(_answer(row) for row in rows)
    found: dict[tuple[str, str], str] = {}
    for name, kind in labels.question_types.items():
        most = sorted((answer for answer in counts if answer[0] == name), key=lambda one: (-counts[one], one))
        found |= dict(zip(most, kind.questions, strict=False))
    return found


def _answer(row: Row) -> tuple[str, str]:
    return row["extra_info"]["question_type"], row["extra_info"]["answers"][0]


def _asked(row: Row, question: str) -> Row:
    asked = copy.deepcopy(row)
    asked["prompt"][0]["content"] = "<image>" + question
    asked["extra_info"]["question"] = question
    return asked
