"""Reads the last lines of a log, to show them below an error."""

from __future__ import annotations

from pathlib import Path

_LINES = 15
_WIDTH = 1000  # characters of a line
_READ = 100_000  # bytes; a traceback through Ray may be long


def tail(log: Path, before: str | None = None) -> str:
    """The last lines of a log, or the last ones before the text `before` if the log has it; empty without a log."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _READ))
        text = file.read().decode(errors="replace")
    lines = (text if before is None else text.partition(before)[0]).splitlines()
    return "\n".join(["", f"the end of {log}:", *(line[:_WIDTH] for line in lines[-_LINES:])])
