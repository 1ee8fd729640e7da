"""`medix-r1 doctor`: checks the machine and says what to fix; imports training/preflight/ and serving/."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.doctor import packages, resources
from medix_r1.doctor.finding import Finding, Judge, Level
from medix_r1.host.machine import this_machine

_COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


__all__ = ["Finding", "Judge", "check_all", "show"]


def check_all(judge: Judge | None = None) -> list[Finding]:
    """Run all checks; `judge` is one to ask too."""
    gpus = resources.list_gpus()
    return [*packages.findings(gpus), *resources.findings(gpus, judge)]


def show(findings: Sequence[Finding], console: Console) -> int:
    """Print the table; return the exit code, 1 when a check fails."""
    table = Table("what", "", "found", "what to do", title=str(this_machine()), title_justify="left")
    for finding in findings:
        level = f"[{_COLOURS[finding.level]}]{finding.level}[/]"
        table.add_row(finding.name, level, escape(finding.found), escape(finding.fix))
    console.print(table)
    return int(any(finding.level == "fail" for finding in findings))
