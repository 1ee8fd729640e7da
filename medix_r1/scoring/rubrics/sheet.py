"""A sheet of drafted criteria for a person to correct, and reading it back.

A line is a criterion. `keep` is yes (it is right, or has been put right), no (leave it out), or empty (nobody has
looked at it). Text, points and tags may be changed, and lines added: with the row's id and without a number. What is
kept or changed is no longer marked as machine-made.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medix_r1.errors import ConfigError, Problem
from medix_r1.models.rubric import MACHINE_MADE, criteria_of, rubric_problems
from medix_r1.scoring.rubrics.draft import Drafted
from medix_r1.untrusted import cell as csv_cell

COLUMNS = ("row", "question", "reference", "number", "criterion", "points", "tags", "made_by", "keep")
_NEEDED = ("row", "number", "criterion", "points", "tags", "keep")
_YES, _NO = ("yes", "y", "x", "1", "true", "ja", "oui"), ("no", "n", "0", "false", "nein", "non")
_DELIMITERS = (",", ";", "\t")


def written(rows: Sequence[Drafted]) -> str:
    """The sheet as CSV; a spreadsheet takes no cell of it for a formula."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for row in rows:
        for number, one in enumerate(criteria_of(row.rubric) if row.rubric else (), start=1):
            machine = MACHINE_MADE in one.tags
            cells = {
                "row": row.name,
                "question": row.question,
                "reference": row.reference,
                "number": str(number),
                "criterion": one.text,
                "points": f"{one.points:g}",
                "tags": " ".join(tag for tag in one.tags if tag != MACHINE_MADE),
                "made_by": "machine" if machine else "person",
                "keep": "" if machine else "yes",
            }
            writer.writerow({name: cell if name == "points" else csv_cell(cell) for name, cell in cells.items()})
    return file.getvalue()


def corrected(rows: Sequence[Drafted], sheet: Path) -> list[Drafted]:
    """The rows with the criteria of a sheet; rows that are not in it stay as they are.

    Raises:
        ConfigError: all problems of the sheet, each with its line.
    """
    known = {row.name: row for row in rows}
    found: dict[str, list[dict[str, Any]]] = {}
    told: dict[tuple[str, str], int] = {}
    problems: list[Problem] = []
    for number, cells in _lines(sheet):
        where = f"{sheet}:{number}"
        row = known.get(cells["row"])
        if row is None:
            says = f"no row '{cells['row'][:40]}'; the sheet belongs to other rows, or its ids were changed"
            problems.append(Problem(where, "no-such-row", says))
            continue
        if cells["number"] and (before := told.setdefault((row.name, cells["number"]), number)) != number:
            says = (
                f"criterion {cells['number']} of row {row.name} stands in line {before}, too; a new one has no number"
            )
            problems.append(Problem(where, "repeated-criterion", says))
            continue
        made, wrong = _criterion(row, cells, where)
        problems += wrong
        found.setdefault(row.name, [])
        if made is not None:
            found[row.name].append(made)
    for name, rubric in found.items():
        if rubric and not any(problem.key.startswith(f"{sheet}:") for problem in problems):
            problems += [problem.below(f"{sheet}: row {name}: ") for problem in rubric_problems(rubric)]
    if problems:
        raise ConfigError(problems)
    return [replace(row, rubric=found[row.name] or None) if row.name in found else row for row in rows]


def _lines(sheet: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each line; Excel's separators and byte-order mark are understood."""
    try:
        text = sheet.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.of(str(sheet), "not-readable", f"cannot be read as UTF-8: {error}") from error
    first = text.splitlines()[0] if text else ""
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    if missing := [name for name in _NEEDED if name not in (reader.fieldnames or ())]:
        raise ConfigError.of(str(sheet), "no-such-column", f"lacks the columns {', '.join(missing)}")
    for cells in reader:
        plain = {str(name): _plain(value) for name, value in cells.items() if isinstance(value, str)}
        if any(plain.values()):
            yield reader.line_num, {name: plain.get(name, "") for name in COLUMNS}


def _plain(cell: str) -> str:
    """A cell without the apostrophe that keeps a spreadsheet from evaluating it."""
    text = cell.strip()
    return text[1:] if text.startswith("'") and csv_cell(text[1:]) == text else text


def _criterion(row: Drafted, cells: Mapping[str, str], where: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The criterion of a line, None where it is left out, and what is wrong with it."""
    keep = cells["keep"].casefold()
    if keep in _NO:
        return None, []
    problems = []
    if keep and keep not in _YES:
        problems.append(Problem(f"{where}: keep", "not-a-choice", f"{cells['keep'][:40]!r} is none of yes, no, empty"))
    points = cells["points"].replace(",", ".").replace("\u2212", "-")
    try:
        value = float(points)
    except ValueError:
        problems.append(Problem(f"{where}: points", "not-points", f"{cells['points'][:40]!r} is no number"))
        return None, problems
    tags = cells["tags"].replace(",", " ").replace(";", " ").split()
    before = _before(row, cells["number"])
    if cells["number"] and before is None:
        says = f"row {row.name} has no criterion {cells['number'][:10]}; a new one has no number"
        problems.append(Problem(f"{where}: number", "no-such-criterion", says))
    same = before is not None and (before.text, before.points) == (cells["criterion"], value)
    same = same and before is not None and [tag for tag in before.tags if tag != MACHINE_MADE] == tags
    if before is not None and MACHINE_MADE in before.tags and same and keep not in _YES:
        tags.append(MACHINE_MADE)  # nobody has looked at it
    return {"criterion": cells["criterion"], "points": value, "tags": tags}, problems


def _before(row: Drafted, number: str) -> Any:
    criteria = criteria_of(row.rubric) if row.rubric else ()
    place = int(number) - 1 if number.isdecimal() else -1
    return criteria[place] if 0 <= place < len(criteria) else None
