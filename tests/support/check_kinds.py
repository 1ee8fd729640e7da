"""What `check` says of the first wrong config of each code, for docs/check.md.

Written by `python -m tests.support.check_kinds --write`. The configs stand in wrong_configs.yaml in
tests/integration/training/preflight; test_table.py there compares.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.yaml_text import parse_yaml
from medix_r1.training.preflight import checks
from tests.support.configs import unsettled
from tests.support.machine import demo_files, good_machine

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "unit" / "golden" / "check_kinds.json"
TABLE: Sequence[Mapping[str, Any]] = parse_yaml(
    (ROOT / "integration" / "training" / "preflight" / "wrong_configs.yaml").read_text(encoding="utf-8")
)
_KNOWN = re.compile(r"(known[^:;]*: ).*")  # lists that grow
_MOST = 160  # characters of a sentence in the table


def problems_of(row: Mapping[str, Any], demo: Path) -> list[Problem]:
    """What `check` says of a row's command line: Hydra's own where `alone`, else from a composed base."""
    return found(["experiment=nano_cpu", f"demo_dir={demo}", *row["set"]], alone=row.get("alone", False))


def found(words: Sequence[str], *, alone: bool = False) -> list[Problem]:
    """Every problem of a command line, in the way of `check`."""
    try:
        composed = configs.composed_train(words) if alone else configs.settled(unsettled(*words))
    except ConfigError as error:
        return list(error.problems)
    return checks.problems_of(composed)


def first_codes() -> dict[int, set[str]]:
    """Row → the codes of which it is the first example with no other code, or with others where there is none."""
    rows: dict[str, int] = {}
    for alone in (True, False):
        for number, row in enumerate(TABLE):
            for code in row["is"].values():
                if not alone or len(row["is"]) == 1:
                    rows.setdefault(code, number)
    return {number: {code for code, one in rows.items() if one == number} for number in rows.values()}


def lines(number: int, problems: Sequence[Problem], demo: Path) -> dict[str, dict[str, str]]:
    """Code → example and sentence, for the codes of which a row is the example."""
    said: dict[str, dict[str, str]] = {}
    for problem in problems:
        if problem.code in first_codes().get(number, ()) and problem.code not in said:
            text = str(problem).replace(str(demo), "DEMO").replace(os.getcwd(), ".")
            text = _KNOWN.sub(r"\1…", text)
            said[problem.code] = {
                "example": " ".join(TABLE[number]["set"]),
                "says": text if len(text) <= _MOST else f"{text[: _MOST - 1]}…",
            }
    return said


def _all() -> dict[str, dict[str, str]]:
    said: dict[str, dict[str, str]] = {}
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        good_machine(patch)
        patch.chdir(folder)
        demo = demo_files(Path(folder).resolve() / "demo")
        for number in first_codes():
            said |= lines(number, problems_of(TABLE[number], demo), demo)
    return dict(sorted(said.items()))


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    GOLDEN.write_text(json.dumps(_all(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
