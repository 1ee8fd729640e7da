"""Renders an audit: JSON, Markdown, terminal tables."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from medix_r1.agreement import Interval
from medix_r1.scoring.judging.audit import Audit, Compared
from medix_r1.scoring.judging.verdict import KINDS, ORDERS, Quality, as_fields, kind_rows, order_rows, sentences
from medix_r1.scoring.plain import plain

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~])")


def summary(found: Audit) -> list[str]:
    """The figures, one line each."""
    lines = [
        f"{found.rows} rows: {found.by_rule} decided by rule, {len(found.unscored)} unscored, "
        f"{found.rows - found.by_rule - len(found.unscored)} compared"
    ]
    if (agreed := found.agreement) is None:
        return [*lines, "nothing to compare"]
    level = f"{agreed.level:.0%}"
    share = f"agreement {agreed.share:.3f} ({level} interval {_interval(agreed.share_interval)})"
    kappa = (
        "Cohen's kappa is not defined: both sides say the same of every row"
        if agreed.kappa is None
        else f"Cohen's kappa {agreed.kappa:.3f} ({level} interval {_interval(agreed.kappa_interval)})"
    )
    return [*lines, share, kappa, f"{found.disagreements} disagreements"]


def confusion(found: Audit) -> Table:
    """Confusion matrix: the first side's verdicts are the rows, the second's the columns."""
    table = Table(title="Confusion", title_justify="left")
    heads, body = _confusion_cells(found)
    for head in heads:
        table.add_column(plain(head), justify="right")
    for cells in body:
        table.add_row(*cells)
    return table


def errors(found: Audit, judged: Quality) -> Table:
    """Table of the first side's errors by kind of answer."""
    title = f"Errors of {found.first} by kind of answer, if {found.second} is right"
    return _rich(title, KINDS, kind_rows(judged))


def orders(judged: Quality) -> Table:
    """Table of simulated groups."""
    size = judged.orders[0].size if judged.orders else 0
    return _rich(f"What that does to a group of {size} (simulated)", ORDERS, order_rows(judged))


def _rich(title: str, heads: Sequence[str], body: Iterable[Sequence[str]]) -> Table:
    table = Table(title=plain(title), title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for cells in body:
        table.add_row(*(plain(cell) for cell in cells))
    return table


def worst(found: Audit) -> Table:
    """Table of the disagreements that are furthest apart."""
    table = Table(title=f"Worst {len(found.worst)} of {found.disagreements} disagreements", title_justify="left")
    for heading in ("line", "question", "reference", "answer", found.first, found.second):
        table.add_column(plain(heading), overflow="fold")
    for case in found.worst:
        texts = [plain(text, limit=200) for text in (case.question, case.reference, case.answer)]
        table.add_row(str(case.line), *texts, plain(_said(case, 0)), plain(_said(case, 1)))
    return table


def as_json(found: Audit, judged: Quality | None) -> str:
    """The audit as JSON, ASCII only because answers may contain terminal escapes."""
    fields: dict[str, Any] = asdict(replace(found, rated=[]))
    del fields["rated"]
    fields |= {} if judged is None else as_fields(judged)
    fields["unscored"] = [{"line": line, "reason": reason} for line, reason in found.unscored]
    if found.agreement is not None:
        fields["agreement"]["compared"] = found.agreement.count
    return json.dumps(fields, indent=1)


def as_markdown(found: Audit, judged: Quality | None, source: Path) -> str:
    """The audit as Markdown; untrusted text is escaped."""
    return "\n".join([f"# Audit of {_safe(source.name)}", "", *_markdown(found, judged), ""])


def _markdown(found: Audit, judged: Quality | None) -> Iterator[str]:
    yield f"First: {_safe(found.first)}. Second: {_safe(found.second)}."
    yield ""
    yield from (f"- {line}" for line in summary(found))
    if found.agreement is not None:
        heads, body = _confusion_cells(found)
        yield from ("", "## Confusion", "", *_table(heads, body))
    if judged is not None:
        yield from ("", "## Errors by kind of answer", "", f"If {_safe(found.second)} is right.", "")
        yield from _table(KINDS, list(kind_rows(judged)))
        yield from ("", "## A group's order", "", *(f"- {_safe(line)}" for line in sentences(judged)))
        if judged.orders:
            yield from ("", f"Groups of {judged.orders[0].size}, simulated:", "")
            yield from _table(ORDERS, list(order_rows(judged)))
    if found.worst:
        heads = ["line", "question", "reference", "answer", found.first, found.second]
        body = [
            [str(c.line), *(_cut(text) for text in (c.question, c.reference, c.answer)), _said(c, 0), _said(c, 1)]
            for c in found.worst
        ]
        yield from ("", f"## Worst {len(found.worst)} of {found.disagreements} disagreements", "", *_table(heads, body))
    if found.unscored:
        body = [[str(line), _cut(reason)] for line, reason in found.unscored]
        yield from ("", "## Unscored", "", *_table(["line", "reason"], body))


def _confusion_cells(found: Audit) -> tuple[list[str], list[list[str]]]:
    if found.agreement is None:
        return [], []
    names = found.agreement.categories
    heads = [f"{found.first} \\ {found.second}", *names]
    return heads, [[name, *map(str, counts)] for name, counts in zip(names, found.agreement.table, strict=True)]


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_safe, heads))} |"
    yield "|" + "---|" * len(heads)
    yield from (f"| {' | '.join(map(_safe, cells))} |" for cells in body)


def _said(case: Compared, side: int) -> str:
    opinion = (case.first, case.second)[side]
    value = opinion.value or 0.0
    return opinion.category if value in (0.0, 1.0) else f"{opinion.category} ({value:.2f})"


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + " …"


def _safe(text: str) -> str:
    """One line, escaped for Markdown and HTML."""
    return _MARKDOWN.sub(r"\\\1", html.escape(plain(" ".join(text.split())).plain, quote=False))


def _interval(interval: Interval | None) -> str:
    return "none: too few kinds of rows" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
