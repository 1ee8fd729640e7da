"""Renders a comparison: terminal table, Markdown, forest plot, JSON, CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from medix_r1.evaluation.results.compare import PAPER_SHIFT, Comparison, GapChange, Pair, Row, Unpaired
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, flat, number, p_value
from medix_r1.evaluation.results.table import judge_names
from medix_r1.host.files import atomic_write
from medix_r1.pages.style import themed_picture
from medix_r1.untrusted import markdown as safe
from medix_r1.untrusted import one_line, plain

NOTHING_TO_COMPARE = "There is nothing to compare: no sample is scored in both results."
NOT_SHOWN = "texts under a data-use agreement are not shown"
_WAYS = (("higher in the second", "up"), ("lower in the second", "down"))


def title(found: Comparison, *, judges: bool) -> str:
    """One line that names the second and the first result."""
    if judges:
        names = [" and ".join(judge_names(info)) or "no judge" for info in (found.second, found.first)]
        return f"{found.first.model}, judged by {names[0]} minus judged by {names[1]}"
    return f"{found.second.model} minus {found.first.model}"


def sheet(found: Comparison, *, judges: bool = False) -> Sheet:
    """The table of a comparison: tasks, then modalities, then averages.

    Args:
        found: the comparison.
        judges: the results are the same replies with two judges, so differences are those of the judges.
    """
    header = ["", "pairs", "first", "second", "difference", "95 % interval", "p", "p (Holm)", "up", "down", "unpaired"]
    rows = [_cells(row) for row in found.tasks]
    rows += [[f"modality: {cells[0]}", *cells[1:]] for cells in (_cells(row) for row in found.modalities)]
    rows += [[f"questions: {cells[0]}", *cells[1:]] for cells in (_cells(row) for row in found.types)]
    rows += [_cells(row) for row in found.averages]
    return Sheet(title(found, judges=judges), header, rows, list(_notes(found, judges)))


def gap_sheet(found: Comparison) -> Sheet:
    """The gaps between groups in both results, and how they change."""
    header = ["task", "by", "gap, first", "worst, first", "gap, second", "worst, second", "change", "95 % interval"]
    notes = [
        "A gap is best minus worst group, on samples scored in both results; a negative change is a smaller gap.",
        "Its interval goes by clusters; p is of swaps of the two results, p (Holm) corrected for the number of gaps.",
    ]
    return Sheet("Gaps between groups", [*header, "p", "p (Holm)"], [_gap_cells(each) for each in found.gaps], notes)


def _gap_cells(each: GapChange) -> list[str]:
    sides = []
    for side in (each.first, each.second):
        sides += [number(side.difference.estimate.value), side.worst]
    change = each.change.estimate
    tested = [p_value(each.change.p), p_value(each.p_holm)]
    return [each.task, each.column, *sides, number(change.value, "+.3f"), between(change.interval, "+.3f"), *tested]


def show(found: Comparison, console: Console, *, examples: int = 3, judges: bool = False) -> None:
    """Print the table and examples of samples that changed, in both directions."""
    sheet(found, judges=judges).show(console)
    if found.gaps:
        gap_sheet(found).show(console)
    for words, way in _WAYS:
        pairs: Sequence[Pair] = getattr(found, way)
        console.print(f"\n[bold]{len(pairs)} {words}[/]{_shown(pairs, examples)}", highlight=False)
        for pair in pairs[:examples]:
            for line in _example(pair):
                console.print(f"  {escape(plain(line))}", highlight=False, soft_wrap=True)


def markdown(found: Comparison, *, examples: int = 3, judges: bool = False) -> str:
    """Table and examples as Markdown."""
    parts = [sheet(found, judges=judges).markdown()]
    parts += [gap_sheet(found).markdown()] if found.gaps else []
    for words, way in _WAYS:
        pairs: Sequence[Pair] = getattr(found, way)
        parts.append(f"### {len(pairs)} {words}{_shown(pairs, examples)}\n")
        parts += ["\n".join(f"- {safe(line)}" for line in _example(pair)) + "\n" for pair in pairs[:examples]]
    return "\n".join(parts)


def flat_rows(found: Comparison) -> list[dict[str, Any]]:
    """The comparison as dictionaries, one for each line, for JSON and CSV."""
    kinds = (
        ("task", found.tasks),
        ("modality", found.modalities),
        ("average", found.averages),
        ("questions", found.types),
    )
    return [
        {
            "kind": kind,
            "name": row.name,
            "pairs": row.pairs,
            "first": row.first,
            "second": row.second,
            **flat(row.difference.estimate, "difference"),
            "p": row.difference.p,
            "p_holm": row.p_holm,
            "up": row.up,
            "down": row.down,
            **asdict(row.unpaired or Unpaired()),
        }
        for kind, rows in kinds
        for row in rows
    ]


def write(found: Comparison, folder: Path, *, examples: int = 3, judges: bool = False) -> list[Path]:
    """Write compare.json, compare.csv, compare.md, compare.png and compare_dark.png into a folder."""
    from medix_r1.evaluation.results.forest import Line, forest

    paths = [folder / f"compare.{end}" for end in ("json", "csv", "md", "png")]
    infos = {"first": asdict(found.first), "second": asdict(found.second), "differing": found.differing}
    changed = {way: [_changed(pair) for pair in pairs] for way, pairs in (("up", found.up), ("down", found.down))}
    gaps = [asdict(each) for each in found.gaps]
    content = {**infos, "rows": flat_rows(found), "changed": changed, "gaps": gaps}
    atomic_write(paths[0], json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    atomic_write(paths[1], csv_text(flat_rows(found)))
    picture = themed_picture(paths[3], f"Differences: {title(found, judges=judges)}")
    atomic_write(paths[2], f"{markdown(found, examples=examples, judges=judges)}\n{picture}")
    lines = [Line(row.name, row.difference.estimate) for row in found.tasks]
    lines += [Line(f"modality: {row.name}", row.difference.estimate) for row in found.modalities]
    lines += [Line(row.name, row.difference.estimate, strong=True) for row in found.averages]
    axis = "score, second minus first, with its 95 % interval; dashed: no difference"
    return paths[:3] + forest(paths[3], lines, title=title(found, judges=judges), axis=axis, zero=True)


def _cells(row: Row) -> list[str]:
    estimate = row.difference.estimate
    return [
        row.name,
        str(row.pairs),
        number(row.first),
        number(row.second),
        number(estimate.value, "+.3f"),
        between(estimate.interval, "+.3f"),
        p_value(row.difference.p),
        p_value(row.p_holm),
        str(row.up),
        str(row.down),
        "" if row.unpaired is None else str(row.unpaired.count),
    ]


def _notes(found: Comparison, judges: bool) -> Iterable[str]:
    yield "Differences are second minus first, on samples scored in both. Intervals and p-values go by clusters."
    tests = [row for row in (*found.tasks, *found.modalities) if row.difference.p is not None]
    if len(tests) > 1:
        yield (
            f"{len(tests)} lines are tested: by chance alone {0.05 * len(tests):.1f} of them would have p < 0.05. "
            "p (Holm) is corrected for the tasks, and for the modalities, each among themselves."
        )
    for row in found.tasks:
        if (lost := row.unpaired) and lost.count:
            yield (
                f"{row.name}: not paired {lost.count}: only in the first {lost.only_first}, only in the second "
                f"{lost.only_second}; unscored in the first {lost.first}, the second {lost.second}, both {lost.both}."
            )
    means = [value for row in (*found.tasks, *found.averages) for value in (row.first, row.second)]
    if any(value is not None and not 0.0 <= value <= 1.0 for value in means):
        yield "Means by rubrics are not clipped to [0, 1] here, as in a result's own table, so that differences fit."
    if judges:
        yield from _shift_notes(found)
    elif found.differing:
        yield f"The results differ in more than the model: {'; '.join(found.differing)}."
    if not any(row.pairs for row in found.tasks):
        yield NOTHING_TO_COMPARE


def _shift_notes(found: Comparison) -> Iterable[str]:
    known = [row.difference.estimate for row in found.tasks if row.difference.estimate.value is not None]
    within = sum(abs(estimate.value or 0.0) <= PAPER_SHIFT for estimate in known)
    wholly = sum(e.interval is not None and max(-e.interval.low, e.interval.high) <= PAPER_SHIFT for e in known)
    yield (
        f"The paper has scores move by at most {PAPER_SHIFT} between judges. Here {within} of {len(known)} task(s) do, "
        f"and for {wholly} of them the whole interval does."
    )
    if found.other_replies:
        yield f"{found.other_replies} pairs do not hold the same reply: this shift is not only the judge's."


def _shown(pairs: Sequence[Pair], examples: int) -> str:
    return f", {examples} of them by the order of their ids:" if len(pairs) > examples else ":" if pairs else ""


def _example(pair: Pair) -> list[str]:
    first, second = pair.first, pair.second
    head = f"{first.task} row {first.row}, {pair.scores[0]:.2f} -> {pair.scores[1]:.2f}"
    if first.restricted or second.restricted:
        return [f"{head}: {NOT_SHOWN}"]
    lines = [f"{head}: {one_line(first.question)}", f"reference: {one_line(first.reference)}"]
    return [*lines, f"first: {_said(pair.first)}", f"second: {_said(pair.second)}"]


def _said(record: Record) -> str:
    answer = record.answer if record.answer is not None else record.reply
    reasons = [vote.reason for vote in record.votes if vote.value is not None and vote.reason]
    return one_line(answer or "(nothing)") + (f" [judge: {one_line(reasons[0], 160)}]" if reasons else "")


def _changed(pair: Pair) -> dict[str, Any]:
    """Identity and scores of a changed sample; its texts stay in the records."""
    one, other = pair.scores
    return {"id": pair.first.id, "task": pair.first.task, "row": pair.first.row, "first": one, "second": other}
