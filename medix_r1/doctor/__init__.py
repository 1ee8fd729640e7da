"""`medix-r1 doctor`: looks at the machine and says what to do; imports training/preflight/ and serving/."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.doctor import packages, resources
from medix_r1.doctor.finding import Finding, Level
from medix_r1.machine import this_machine

_COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def check_all(judge_url: str | None = None) -> list[Finding]:
    """Look at everything; `judge_url` names a judge to ask."""
    gpus = resources.list_gpus()
    return [*packages.findings(gpus), *resources.findings(gpus, judge_url)]


def show(findings: Sequence[Finding], console: Console) -> int:
    """Print the table; returns the exit code, 1 when something fails."""
    table = Table("what", "", "found", "what to do", title=str(this_machine()), title_justify="left")
    for finding in findings:
        level = f"[{_COLOURS[finding.level]}]{finding.level}[/]"
        table.add_row(finding.name, level, escape(finding.found), escape(finding.fix))
    console.print(table)
    return int(any(finding.level == "fail" for finding in findings))
