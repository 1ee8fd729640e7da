"""The page that `make acceptance` keeps: a row for each test file, with what came of it, at which commit, on what day.

A row is written as soon as its file is through, so a run that is cut loses nothing, and a file that is run alone
replaces only its own row.
"""

from __future__ import annotations

import datetime
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from medix_r1.host.machine import this_machine

_ROOT = Path(__file__).parents[2]
_HEAD = """# Acceptance

What takes longer than `make test` allows. `make acceptance` runs all and writes this page, a row as soon as a file of
`tests/acceptance/` is through; `make acceptance ONLY=tests/acceptance/test_dapo.py` runs one and replaces its row.
Minutes are wall time with everything that the file starts.

| file | what it shows | outcome | minutes | commit, day, machine |
|---|---|---|---|---|
"""


@dataclass
class _File:
    """What came of the tests of one file so far."""

    purpose: str
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def row(self, name: str, where: str) -> str:
        outcome = ", ".join(f"{count} {word}" for word, count in sorted(self.outcomes.items(), reverse=True))
        failed = f": {', '.join(f'`{test}`' for test in self.failed)}" if self.failed else ""
        return f"| `{name}` | {self.purpose} | {outcome}{failed} | {self.seconds / 60:.1f} | {where} |"


class AcceptancePage:
    """A pytest plug-in that keeps the page up to date while tests run."""

    def __init__(self, path: Path) -> None:
        self._path, self._files = path, dict[str, _File]()
        self._where = f"{commit()}, {datetime.date.today()}, {this_machine()}"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            purpose = (getattr(item, "module", None).__doc__ or "").strip().split("\n\n")[0]
            self._files.setdefault(item.nodeid.split("::")[0], _File(" ".join(purpose.split()).replace("|", "/")))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name, _, test = report.nodeid.partition("::")
        file = self._files[name]
        file.seconds += report.duration
        if report.when == "call" or report.outcome != "passed":
            file.outcomes[report.outcome] += 1
            if report.failed:
                file.failed.append(test)
        if file.outcomes:
            self._write(Path(name).name, file.row(Path(name).name, self._where))

    def _write(self, name: str, row: str) -> None:
        rows = {name: row}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            if line.startswith("| `test_"):
                rows.setdefault(line.split("`")[1], line)
        kept = [rows[key] for key in sorted(rows) if (_ROOT / "tests/acceptance" / key).exists()]
        self._path.write_text(_HEAD + "\n".join(kept) + "\n", encoding="utf-8")


def commit() -> str:
    """The commit that was tested, with a `+` when files differ from it."""
    name = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=_ROOT, check=False
    )
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no", ":!docs/acceptance.md"],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
    )
    return (name.stdout.strip() or "unknown commit") + ("+" if changed.stdout.strip() else "")
