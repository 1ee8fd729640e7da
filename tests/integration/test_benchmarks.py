"""The reward's benchmark runs small: its numbers of calls add up (times are not looked at)."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMPLETIONS, SERIAL = 40, 4


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("speed")
    out = folder / "speed.md"
    numbers = {"completions": COMPLETIONS, "repetitions": 1, "user": COMPLETIONS, "serial": SERIAL}
    numbers |= {"many": 2 * COMPLETIONS, "cached": 2 * COMPLETIONS}
    options = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    options += ["--figures", str(folder / "figures.json"), "--page", str(out)]
    subprocess.run(
        [sys.executable, "reward_speed.py", "long", "many", "bounded", "cached", *options],
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
    (texts,) = counts(report, r"(\d+) unique texts to the embedder")
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in report.splitlines() if line.startswith("| ")]
    table = {name: tuple(numbers) for name, *numbers in rows}
    for way in ("the bare unique work", "this reward", "this reward, called by verl"):
        assert table[way] == (str(COMPLETIONS), str(unique), str(texts))
    assert table["verl's manager with a user's function"] == (str(COMPLETIONS), str(needed), str(2 * needed))
    completions, calls, _ = table["serial"]
    assert int(completions) == SERIAL
    assert int(calls) <= SERIAL


def test_answers_from_memory_cost_no_call(report: str) -> None:
    real, bounded, cached = re.findall(r"(\d+) completions, (\d+) judge calls", report)
    assert [real[0], bounded[0], cached[0]] == ["80", "80", "80"]
    assert 0 < int(cached[1]) < 80  # those of the first time
    assert int(bounded[1]) >= int(real[1])  # what fell out of a full cache is asked again


def test_the_page_says_which_caches_are_full(report: str) -> None:
    assert report.count("; caches of 1 verdicts and as many vectors.") == 1


def test_what_was_not_measured_is_no_target_met(report: str) -> None:
    rows = [line.split("|")[1:4] for line in report.splitlines() if "judge latencies after the last rollout" in line]
    assert [(measured.strip(), met.strip()) for _, measured, met in rows] == [("not measured", "no")]


@pytest.fixture
def reward_page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("reward_page")


def verdicts(reward_page: ModuleType, **figures: object) -> dict[str, str]:
    return {target.split(":")[-1].strip(): met for target, _, met in reward_page.targets(figures)}


@pytest.mark.parametrize(("rate", "met"), [(79.0, "**no**"), (81.0, "yes")])
def test_the_bound_decides(reward_page: ModuleType, rate: float, met: str) -> None:
    ways = {reward_page.BARE: {"rate": 100.0}, reward_page.OURS: {"rate": rate}, reward_page.SERIAL: {"rate": 1.0}}
    assert verdicts(reward_page, short={"ways": ways})["at least 0.8 of the bound"] == met


@pytest.mark.parametrize(
    ("seconds", "last_mib", "done", "met"),
    [
        ([9, 10, 11, 12, 13, 14], 1001, 600, ["yes", "yes"]),
        ([9, 10, 11, 12, 13, 20], 1001, 600, ["**no**", "yes"]),  # slower and slower
        ([9, 10, 11, 12, 13, 14], 1500, 600, ["yes", "**no**"]),  # larger and larger
        ([9, 10, 11, 12, 13, 14], 1001, 601, ["no"]),  # stopped before its end
    ],
)
def test_growth_decides(reward_page: ModuleType, seconds: list[int], last_mib: int, done: int, met: list[str]) -> None:
    mib = [1000] * 5 + [last_mib]
    tenths = [{"completions": 100 * (n + 1), "seconds": seconds[n], "mib": mib[n]} for n in range(6)]
    found = [met for _, _, met in reward_page.targets({"cached": {"wanted": done, "tenths": tenths}})]
    assert found[-len(met) :] == met


def test_the_page_in_docs_is_what_the_kept_figures_say(reward_page: ModuleType) -> None:
    figures = json.loads((BENCHMARKS / "reward_speed.json").read_text(encoding="utf-8"))
    assert (BENCHMARKS.parent / "docs" / "reward_speed.md").read_text(encoding="utf-8") == reward_page.page(figures)
