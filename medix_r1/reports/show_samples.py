"""Prints samples: question, reply, and value and reason of each part of the reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.pages.wrapped import hanging
from medix_r1.reports.samples import Line
from medix_r1.untrusted import one_line

_REPLY = 600  # characters, of a reply


def show(samples: Sequence[Line], images: Mapping[str, Sequence[Path]], console: Console, asked_with: str = "") -> None:
    """Print samples below each other; `asked_with` names the picture that they were asked with instead of their own."""
    if not samples:
        console.print("no sample fits")
    for line in samples:
        _head(line, images.get(line["row_id"], ()), asked_with, console)
        console.print(_parts(line))
        for name, details in (line.get("details") or {}).items():
            console.print(_details(name, details))


def _head(line: Line, images: Sequence[Path], asked_with: str, console: Console) -> None:
    instead = f" (the row's own; it was asked with {asked_with})" if asked_with else ""
    shown = ", ".join(map(str, images)) or "not to be had (the data files have gone or hold no such row)"
    where = f"step {line['step']}  {one_line(line['source'])}  {one_line(line['row_id'])}  {line['key']}"
    console.rule(escape(where), align="left")
    facts = {
        "question": one_line(line["question"]),
        "reference": one_line(line["reference"]),
        "reply": one_line(line["reply"], _REPLY),
        "images": shown + instead,
        "outcome": _outcome(line),
    }
    for name, text in facts.items():
        wrapped = text if name == "images" else hanging(" " * 10, text, console.width).removeprefix(" " * 10)
        console.print(f"[bold]{name:<10}[/]{escape(wrapped)}", highlight=False, soft_wrap=True)  # paths stay whole


def _outcome(line: Line) -> str:
    words = [f"{line['tokens']} tokens", "cut at the limit" if line["cut"] else "ended by itself"]
    if line.get("advantage") is not None:
        words.append(f"advantage {line['advantage']:+.3f}")
    if line["masked"]:
        words.append(f"masked: {one_line(line['failure'] or 'cut')}")
    if line.get("filtered"):
        words.append("its group was filtered out")
    return ", ".join(words)


def _details(name: str, details: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column(f"{name}, one by one", overflow="fold")
    table.add_column("points", justify="right")
    table.add_column("met")
    table.add_column("why", overflow="fold")
    for one in details:
        met = {True: "yes", False: "no"}.get(one.get("met"), "lost")  # type: ignore[arg-type]
        reason = escape(one_line(str(one.get("reason") or "")))
        table.add_row(escape(one_line(str(one["text"]))), f"{one.get('points', 1.0):g}", met, reason)
    return table


def _parts(line: Line) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name, justify in (("part", "left"), ("value", "right"), ("why", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, value in {"overall": line["overall"], **line["parts"]}.items():
        shown = "-" if value is None else f"{value:.3f}"
        table.add_row(name, shown, escape(one_line(line["reasons"].get(name, ""))))
    return table
