"""Does the model look? The score with real pictures against the score without them, on the same samples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medix_r1.errors import DataError
from medix_r1.evaluation.results import statistics
from medix_r1.evaluation.results.compare import Pair, Row, compare, join
from medix_r1.evaluation.results.records import Record, read_run
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, flat, number, p_value
from medix_r1.evaluation.results.statistics import Estimate, holm
from medix_r1.host.files import atomic_write
from medix_r1.pages.style import themed_picture
from medix_r1.wording.spelling import normalize_answer


@dataclass(frozen=True, slots=True)
class Look:
    """One task, or the average over the tasks, under one condition.

    Attributes:
        condition: what the pictures were: `blank`, `shuffled` or `none`.
        row: the paired comparison; its difference is the condition's score minus the real one.
        same: share of answers that did not change; of an average, over all of its samples.
    """

    condition: str
    row: Row
    same: Estimate


def read_looks(real: Path, others: Mapping[str, Path]) -> list[Look]:
    """Compare the result with real pictures with the result of each condition.

    Raises:
        DataError: one is not a result folder.
    """
    info, records = read_run(real)
    looks = []
    for condition, folder in others.items():
        told, changed = read_run(folder)
        seen = {task: records[task] for task in changed if task in records}
        pairs = {task: join(rows, changed[task])[0] for task, rows in seen.items()}
        found = compare((info, seen), (told, changed))
        looks += [Look(condition, row, _same(pairs[row.name])) for row in found.tasks]
        if len(found.tasks) > 1:
            every = [pair for rows in pairs.values() for pair in rows]
            looks += [Look(condition, row, _same(every)) for row in found.averages[:1]]
    return _corrected(looks)


def conditions(folders: Sequence[Path]) -> tuple[Path, dict[str, Path]]:
    """Which of some results has the real pictures, and the others by their condition.

    Raises:
        DataError: one is not a result folder, none or several have the real pictures, a condition is there twice, or
            the results are of different models.
    """
    told = {folder: read_run(folder)[0] for folder in folders}
    real = [folder for folder, info in told.items() if "images" not in info.extra]
    others = {str(info.extra["images"]): folder for folder, info in told.items() if "images" in info.extra}
    if len(real) != 1 or not others or 1 + len(others) != len(told):
        seen = ", ".join(str(info.extra.get("images", "real")) for info in told.values())
        says = f"there are {seen}; give one result with the real pictures, and one for each other condition"
        raise DataError(says, code="not-conditions")
    if len({info.model for info in told.values()}) > 1:
        raise DataError("the results are of different models", code="other-model")
    return real[0], others


def _corrected(looks: Sequence[Look]) -> list[Look]:
    """The looks with p-values corrected over all tasks and conditions together; averages are not tested again."""
    tested = [look.row.difference.p if look.row.unpaired is not None else None for look in looks]
    return [replace(look, row=replace(look.row, p_holm=p)) for look, p in zip(looks, holm(tested), strict=True)]


def _same(pairs: Sequence[Pair]) -> Estimate:
    values = [float(_said(pair.first) == _said(pair.second)) for pair in pairs]
    return statistics.mean(values, [pair.first.group for pair in pairs])


def _said(record: Record) -> str:
    return normalize_answer(record.answer or "")


def sheet(looks: Sequence[Look], model: str) -> Sheet:
    """The looks as a table."""
    header = ["task", "images", "pairs", "real", "so", "difference", "95 % interval", "p", "p (Holm)"]
    header += ["same answer", "95 % interval"]
    return Sheet(f"{model}: does it look?", header, [_cells(look) for look in looks], list(_notes(looks)))


def _cells(look: Look) -> list[str]:
    row, difference = look.row, look.row.difference
    return [
        row.name,
        look.condition,
        str(row.pairs),
        number(row.first),
        number(row.second),
        number(difference.estimate.value, "+.3f"),
        between(difference.estimate.interval, "+.3f"),
        p_value(difference.p),
        p_value(row.p_holm),
        number(look.same.value),
        between(look.same.interval),
    ]


def _notes(looks: Sequence[Look]) -> Iterable[str]:
    yield "Differences are without the real picture minus with it, on samples scored in both, by clusters."
    yield "A model that does not look has a difference near 0 and gives the same answers."
    if len([look for look in looks if look.row.unpaired is not None]) > 1:
        yield "p (Holm) is corrected for all tasks and conditions together."
    if lost := [
        f"{look.row.name} ({look.condition})" for look in looks if look.row.unpaired and look.row.unpaired.count
    ]:
        yield f"Some samples are scored in one result only, as rows without a picture are: {', '.join(lost)}."


def flat_rows(looks: Sequence[Look]) -> list[dict[str, Any]]:
    """The looks as dictionaries, for JSON and CSV."""
    return [
        {
            "name": look.row.name,
            "images": look.condition,
            "pairs": look.row.pairs,
            "real": look.row.first,
            "score": look.row.second,
            **flat(look.row.difference.estimate, "difference"),
            "p": look.row.difference.p,
            "p_holm": look.row.p_holm,
            **flat(look.same, "same"),
        }
        for look in looks
    ]


def write(looks: Sequence[Look], model: str, folder: Path) -> list[Path]:
    """Write looking.json, .csv, .md and .png (differences), and looking_same.png (answers), into a folder.

    Both figures have a `_dark` one beside them.
    """
    from medix_r1.evaluation.results.forest import Line, forest

    paths = [folder / f"looking.{end}" for end in ("json", "csv", "md", "png")]
    atomic_write(paths[0], json.dumps(flat_rows(looks), indent=1, ensure_ascii=False) + "\n")
    atomic_write(paths[1], csv_text(flat_rows(looks)))
    told = folder / "looking_same.png"
    pictures = themed_picture(paths[3], f"Change of {model} without the real picture")
    pictures += "\n" + themed_picture(told, f"Share of equal answers of {model} without the real picture")
    atomic_write(paths[2], f"{sheet(looks, model).markdown()}\n{pictures}")
    lines = [
        Line(f"{look.row.name}, {look.condition}", look.row.difference.estimate, strong=look.row.unpaired is None)
        for look in looks
    ]
    axis = "score without the real picture minus with it, with its 95 % interval; dashed: no difference"
    drawn = forest(paths[3], lines, title=f"{model}: does it look?", axis=axis, zero=True)
    same = [Line(f"{look.row.name}, {look.condition}", look.same, strong=look.row.unpaired is None) for look in looks]
    axis = "share of answers that are the same without the real picture, with its 95 % interval"
    drawn += forest(told, same, title=f"{model}: does it look?", axis=axis, limits=(0.0, 1.0))
    return [*paths[:3], *drawn]
