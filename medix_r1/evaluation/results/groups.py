"""Scores by group: by modality, closed and open questions apart, by tags of a rubric, and by any column of the rows.

For the columns that `subgroup=` names there is the gap between the best and the worst group (gaps.py). A group of fewer
samples than `subgroup_min` is not shown: its score says little, and it could point at a person.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medix_r1.evaluation.results import statistics
from medix_r1.evaluation.results.gaps import Gap, gap
from medix_r1.evaluation.results.records import Record, RunInfo, met_criteria, read_run
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, flat, number, p_value
from medix_r1.evaluation.results.statistics import Estimate, holm
from medix_r1.evaluation.results.table import Records, clipped, in_order
from medix_r1.host.files import atomic_write
from medix_r1.models.rubric import bounds_by_tag
from medix_r1.pages.style import themed_picture
from medix_r1.wording.spelling import normalize_answer

SMALLEST = 20
"""Samples below which a group is not shown, where `subgroup_min` says nothing else."""
EVERY_TASK = "all of them"
MODALITY, QUESTION, ANSWER, TAG = "modality", "question", "answer", "tag of the rubric"


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a task's samples: its name and its score."""

    name: str
    score: Estimate


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The groups of one task by one column.

    Attributes:
        task: its name, or `EVERY_TASK`.
        column: of the rows, or one of `MODALITY`, `QUESTION` (closed, open), `ANSWER` (its form), `TAG`.
        groups: those that are large enough, by name.
        hidden: groups that are not, and their samples together.
        without: scored samples that say nothing there.
        gap: between the best and the worst group; None for columns that are not the user's, or fewer than two groups.
    """

    task: str
    column: str
    groups: tuple[Group, ...]
    hidden: tuple[int, int]
    without: int
    gap: Gap | None = None


def breakdowns(info: RunInfo, records: Records) -> list[Breakdown]:
    """Every breakdown of a result with two groups; forms of answers where they say more than closed and open."""
    smallest = int(info.extra.get("subgroup_min", SMALLEST))
    scored = {task: [r for r in records[task] if r.score is not None] for task in in_order(records)}
    found = []
    for task, rows in scored.items():
        found += [_breakdown(task, column, rows, smallest) for column in (MODALITY, QUESTION, ANSWER, *_columns(rows))]
        found += _by_tag(task, rows, smallest)
    every = [record for rows in scored.values() for record in rows]
    for column in _columns(every):
        if sum(column in _columns(rows) for rows in scored.values()) > 1:
            found.append(_breakdown(EVERY_TASK, column, every, smallest))
    return _corrected(
        [each for each in found if len(each.groups) + each.hidden[0] > (2 if each.column == ANSWER else 1)]
    )


def read_breakdowns(folder: Path) -> list[Breakdown]:
    """Read a result's folder and break its scores down.

    Raises:
        DataError: this is not a result folder.
    """
    return breakdowns(*read_run(folder))


def group_of(record: Record, column: str) -> str | None:
    """The group that a sample belongs to by a column; None where it says nothing."""
    if column == MODALITY:
        return record.modality
    if column == ANSWER:
        return answer_form(record)
    if column == QUESTION:
        return "closed" if answer_form(record) in _CLOSED else "open"
    return record.subgroups.get(column)


_CLOSED = ("options", "yes or no", "closed")


def answer_form(record: Record) -> str:
    """What kind of answer a question has: options, yes or no, as the row says, criteria, or a text of its own."""
    if record.criteria:
        return "criteria"
    if record.choices:
        return "options"
    if normalize_answer(record.reference) in ("yes", "no"):
        return "yes or no"
    return (record.answer_type or "text").strip().lower()


def sheet(found: Sequence[Breakdown], model: str) -> Sheet:
    """The breakdowns as a table: a line for each group, then the gap."""
    header = ["task", "by", "group", "n", "score", "95 % interval", "p", "p (Holm)"]
    rows = [row for each in found for row in _rows(each)]
    return Sheet(f"{model}: by group", header, rows, list(_notes(found)))


def flat_rows(found: Sequence[Breakdown]) -> list[dict[str, Any]]:
    """The breakdowns as dictionaries, for JSON and CSV: one for each group, one for each gap."""
    rows = []
    for each in found:
        about = {"task": each.task, "by": each.column}
        for group in each.groups:
            rows.append({**about, "kind": "group", "name": group.name, **flat(group.score), "p": None, "p_holm": None})
        if each.gap is not None:
            difference, name = each.gap.difference, f"{each.gap.best} minus {each.gap.worst}"
            tested = {"p": difference.p, "p_holm": each.gap.p_holm}
            rows.append({**about, "kind": "gap", "name": name, **flat(difference.estimate), **tested})
    return rows


def write(found: Sequence[Breakdown], model: str, folder: Path) -> list[Path]:
    """Write groups.json, groups.csv, groups.md, groups.png and groups_dark.png into a folder."""
    from medix_r1.evaluation.results.forest import Line, forest

    paths = [folder / f"groups.{end}" for end in ("json", "csv", "md", "png")]
    atomic_write(paths[0], json.dumps([asdict(each) for each in found], indent=1, ensure_ascii=False) + "\n")
    atomic_write(paths[1], csv_text(flat_rows(found)))
    atomic_write(
        paths[2], f"{sheet(found, model).markdown()}\n{themed_picture(paths[3], f'Scores of {model} by group')}"
    )
    lines = [Line(f"{each.task}, {each.column}: {group.name}", group.score) for each in found for group in each.groups]
    axis = "score, with its 95 % interval"
    return paths[:3] + forest(paths[3], lines, title=f"{model}: by group", axis=axis, limits=(0.0, 1.0))


def _columns(rows: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(column for record in rows for column in record.subgroups))


def members(rows: Iterable[Record], column: str) -> dict[str, list[Record]]:
    """The samples of each group, by its name."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in rows:
        if (name := group_of(record, column)) is not None:
            found[name].append(record)
    return dict(sorted(found.items()))


def _breakdown(task: str, column: str, rows: Sequence[Record], smallest: int) -> Breakdown:
    every = members(rows, column)
    large = {name: samples for name, samples in every.items() if len(samples) >= smallest}
    small = [len(samples) for name, samples in every.items() if name not in large]
    groups = tuple(Group(name, _score(samples)) for name, samples in large.items())
    without = len(rows) - sum(map(len, every.values()))
    is_own = column not in (MODALITY, QUESTION, ANSWER)
    found = _gap(large) if is_own and len(large) > 1 else None
    return Breakdown(task, column, groups, (len(small), sum(small)), without, found)


def _score(samples: Sequence[Record]) -> Estimate:
    found = statistics.mean([float(r.score or 0.0) for r in samples], [r.group for r in samples])
    return clipped(found) if any(record.criteria for record in samples) else found


def _gap(large: Mapping[str, Sequence[Record]]) -> Gap:
    rows = [(float(r.score or 0.0), name, f"{r.task} {r.group}") for name, samples in large.items() for r in samples]
    values, names, clusters = zip(*rows, strict=True)
    return gap(values, names, clusters)


def _by_tag(task: str, rows: Sequence[Record], smallest: int) -> Iterator[Breakdown]:
    """A rubric's tags, as HealthBench reports its axes: the score by the criteria of each tag alone."""
    told: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for record in rows:
        met = met_criteria(record.votes, len(record.criteria)) if record.votes else [False] * len(record.criteria)
        for tag, bounds in bounds_by_tag(record.criteria, met).items():
            if bounds.value is not None:
                told[tag].append((bounds.value, record.group))
    large = {tag: values for tag, values in sorted(told.items()) if len(values) >= smallest}
    groups = tuple(Group(tag, clipped(statistics.mean(*zip(*pairs, strict=True)))) for tag, pairs in large.items())
    small = [len(values) for tag, values in told.items() if tag not in large]
    if told:
        yield Breakdown(task, TAG, groups, (len(small), sum(small)), 0)


def _corrected(found: Sequence[Breakdown]) -> list[Breakdown]:
    """The gaps with p-values corrected for the number of gaps that are tested."""
    corrected = holm([each.gap.difference.p if each.gap else None for each in found])
    return [
        replace(each, gap=replace(each.gap, p_holm=p)) if each.gap else each
        for each, p in zip(found, corrected, strict=True)
    ]


def _rows(each: Breakdown) -> Iterator[list[str]]:
    for group in each.groups:
        score = group.score
        numbers = [str(score.samples), number(score.value), between(score.interval), "", ""]
        yield [each.task, each.column, group.name, *numbers]
    if each.gap is not None:
        estimate = each.gap.difference.estimate
        name = f"gap: {each.gap.best} minus {each.gap.worst} (the worst)"
        numbers = [str(estimate.samples), number(estimate.value, "+.3f"), between(estimate.interval, "+.3f")]
        tested = [p_value(each.gap.difference.p), p_value(each.gap.p_holm)]
        yield [each.task, each.column, name, *numbers, *tested]


def _notes(found: Sequence[Breakdown]) -> Iterator[str]:
    if any(each.gap for each in found):
        yield (
            "Gaps are best minus worst group. Their intervals and p-values are corrected for the number of groups (by "
            "Games and Howell), p (Holm) for the number of gaps besides. A gap whose interval holds 0 may be chance."
        )
    for each in found:
        count, samples = each.hidden
        if count:
            yield f"{each.task}, {each.column}: {count} group(s) too small to be shown, {samples} samples together."
        if each.without and each.column not in (MODALITY, QUESTION, ANSWER):
            yield f"{each.task}, {each.column}: {each.without} scored samples say nothing there."
