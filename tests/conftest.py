"""Options of the whole suite: `--acceptance-summary FILE` writes what `make acceptance` found."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--acceptance-summary", type=Path, help="write the outcome of every test to this Markdown file")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    path: Path | None = config.getoption("--acceptance-summary")
    if path is None:
        return
    from medix_r1.machine import this_machine

    outcomes = [
        (report.nodeid, outcome, report.duration)
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.stats.get(outcome, [])
        if outcome != "passed" or report.when == "call"
    ]
    lines = [
        "# Acceptance",
        "",
        f"Written by `make acceptance` on {datetime.date.today()}, on {this_machine()}.",
        "",
        "| test | outcome | seconds |",
        "|---|---|---|",
        *(f"| `{nodeid}` | {outcome} | {duration:.0f} |" for nodeid, outcome, duration in sorted(outcomes)),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


_ROOT_LEVEL = logging.getLogger().level


@pytest.fixture(autouse=True)
def _root_logger() -> None:
    """verl's vLLM server and inspect-ai raise the level of the root logger and of pytest's own handlers for good."""
    root = logging.getLogger()
    root.setLevel(_ROOT_LEVEL)
    for handler in root.handlers:
        handler.setLevel(logging.NOTSET)
