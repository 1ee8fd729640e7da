"""The reward's benchmark runs small: its numbers of calls add up (times are not looked at)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMPLETIONS, SERIAL = 40, 4


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("speed") / "speed.md"
    numbers = {"completions": COMPLETIONS, "repetitions": 1, "user": COMPLETIONS, "serial": SERIAL}
    numbers |= {"replays": 0, "many": 2 * COMPLETIONS, "cached": 2 * COMPLETIONS}
    options = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    subprocess.run(
        [sys.executable, "reward_speed.py", *options, "--out", str(out)],
        cwd=BENCHMARKS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=600,
    )
    return out.read_text(encoding="utf-8")


def counts(report: str, sentence: str) -> tuple[int, ...]:
    found = re.search(sentence, report)
    assert found is not None, report
    return tuple(int(number) for number in found.groups())


def test_every_way_makes_the_calls_that_it_must(report: str) -> None:
    (needed,) = counts(report, r"(\d+) of them need the models")
    (unique,) = counts(report, r"(\d+) unique questions to the judge")
    assert 0 < unique < needed < COMPLETIONS
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in report.splitlines() if line.startswith("| ")]
    table = {name: (completions, calls) for name, completions, calls in rows}
    for way in ("the bare unique work", "this reward", "this reward, called by verl"):
        assert table[way] == (str(COMPLETIONS), str(unique))
    assert table["verl's manager with a user's function"] == (str(COMPLETIONS), str(needed))
    completions, calls = table["serial"]
    assert int(completions) == SERIAL
    assert int(calls) <= SERIAL


def test_answers_from_memory_cost_no_call(report: str) -> None:
    real, cached = re.findall(r"(\d+) completions, (\d+) judge calls", report)
    assert [real[0], cached[0]] == ["80", "80"]
    assert 0 < int(cached[1]) < 80  # those of the first time
