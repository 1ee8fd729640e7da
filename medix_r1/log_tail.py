"""The end of a log, as it is shown below an error."""

from __future__ import annotations

from pathlib import Path

_LINES = 15  # shown at most
_WIDEST = 1000  # characters of such a line
_LOOK_BACK = 100_000  # bytes of the log that are read for them; a traceback through Ray may be long


def tail(log: Path, before: str | None = None) -> str:
    """The last lines of a log, up to the text `before` if it holds it, read without loading all of it."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOOK_BACK))
        text = file.read().decode(errors="replace")
    lines = (text if before is None else text.partition(before)[0]).splitlines()
    return "\n".join(["", f"the end of {log}:", *(line[:_WIDEST] for line in lines[-_LINES:])])
