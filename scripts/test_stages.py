"""Run stages of `make` one after the other, even if one fails, and print a table at the end.

Usage: python scripts/test_stages.py STAGE [STAGE ...]

A stage's output is streamed. The exit code is 0 if all stages passed, 1 if one failed, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field

_CLOSING = re.compile(r" in \d+(\.\d+)?s\b")  # pytest's last line: == 2 failed, 31 passed in 4.56s ==
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
_COLUMNS = ("passed", "failed", "errors", "skipped")


@dataclass
class Outcome:
    """The result of one stage; `counts` are pytest's, by the words in its last line."""

    stage: str
    ok: bool
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)

    def row(self) -> str:
        counts = "".join(f"{self.counts.get(name, 0) if self.counts else '-':>9}" for name in _COLUMNS)
        return f"{self.stage:<12} {'passed' if self.ok else 'FAILED':<8}{counts}{self.seconds / 60:>9.1f}"


def counts_of(line: str) -> dict[str, int]:
    """The counts in pytest's last line; empty for any other line."""
    if not _CLOSING.search(line):
        return {}
    return {"errors" if word == "error" else word: int(count) for count, word in _COUNT.findall(line)}


def run(stage: str) -> Outcome:
    """Run `make STAGE`."""
    start, counts = time.monotonic(), {}
    command = [os.environ.get("MAKE", "make"), "--no-print-directory", stage]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            counts = counts_of(line) or counts
    return Outcome(stage, process.returncode == 0, time.monotonic() - start, counts)


def table(outcomes: list[Outcome]) -> str:
    """One row for each stage."""
    head = f"{'stage':<12} {'result':<8}{''.join(f'{name:>9}' for name in _COLUMNS)}{'minutes':>9}"
    total = f"{'all':<12} {'passed' if all(o.ok for o in outcomes) else 'FAILED':<8}"
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    return "\n".join([head, *(outcome.row() for outcome in outcomes), f"{total}{minutes:>{9 * len(_COLUMNS) + 9}.1f}"])


def main(stages: list[str]) -> int:
    """Run the stages, print the table, and return the exit code."""
    outcomes = [run(stage) for stage in stages]
    print(f"\n{table(outcomes)}", flush=True)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
