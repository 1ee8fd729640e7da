"""The reward's benchmark runs small: its numbers of calls add up (times are not looked at)."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMPLETIONS, SERIAL = 40, 4


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("speed")
    numbers = {"completions": COMPLETIONS, "repetitions": 1, "user": COMPLETIONS, "serial": SERIAL}
    numbers |= {"many": 2 * COMPLETIONS, "cached": 2 * COMPLETIONS}
    options = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    subprocess.run(
        [sys.executable, "reward_speed.py", "long", "many", "bounded", "cached", *options, "--results", str(folder)],
        cwd=BENCHMARKS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=600,
    )
    parts: dict[str, Any] = json.loads((folder / "reward_speed.json").read_text(encoding="utf-8"))
    return parts


def test_every_part_says_how_it_was_measured(figures: dict[str, Any]) -> None:
    assert list(figures) == ["long", "many", "bounded", "cached"]
    for part in figures.values():
        assert part["command"].startswith("python benchmarks/reward_speed.py long many bounded cached --completions 40")
        assert {"machine", "date", "load"} <= part.keys()


def test_every_way_makes_the_calls_that_it_must(figures: dict[str, Any]) -> None:
    part = figures["long"]
    needed, unique, texts = part["need_models"], part["questions"], part["texts"]
    assert 0 < unique < needed < COMPLETIONS
    ways = {name: (way["completions"], way["calls"], way["texts"]) for name, way in part["ways"].items()}
    for way in ("the bare unique work", "this reward", "this reward, called by verl"):
        assert ways[way] == (COMPLETIONS, [unique], [texts])
    assert ways["verl's manager with a user's function"] == (COMPLETIONS, [needed], [2 * needed])
    completions, (calls,), _ = ways["serial"]
    assert completions == SERIAL
    assert calls <= SERIAL


def test_answers_from_memory_cost_no_call(figures: dict[str, Any]) -> None:
    real, bounded, cached = (figures[name] for name in ("many", "bounded", "cached"))
    assert [part["tenths"][-1]["completions"] for part in (real, bounded, cached)] == [80, 80, 80]
    assert 0 < cached["calls"] < 80  # those of the first time
    assert bounded["calls"] >= real["calls"]  # what fell out of a full cache is asked again


def test_only_the_bounded_run_has_small_caches(figures: dict[str, Any]) -> None:
    assert [figures[name]["cache_size"] for name in ("many", "bounded", "cached")] == [None, 1, None]


def test_a_run_is_added_and_a_part_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    results_file = importlib.import_module("results_file")
    for step in (1, 2):
        results_file.keep("speed", "runs", {"step": step}, add=True, folder=tmp_path)
        results_file.keep("speed", "newest", {"step": step}, folder=tmp_path)
    kept = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert kept == {"runs": [{"step": 1}, {"step": 2}], "newest": {"step": 2}}


async def test_the_differences_to_paper_are_counted_for_the_reward_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    kept = json.loads((BENCHMARKS / "results" / "paper_differences.json").read_text(encoding="utf-8"))["rows"]
    found = await importlib.import_module("paper_differences").differences()
    assert kept["kinds"] == found, "run: python benchmarks/paper_differences.py && make docs"
    assert {one["kind"] for one in found} == {"cured", "deliberately stricter", "looser"}


@pytest.fixture
def reward_targets(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("reward_targets")


def test_what_was_not_measured_is_no_target_met(reward_targets: ModuleType, figures: dict[str, Any]) -> None:
    (row,) = [row for row in reward_targets.targets(figures) if "judge latencies after the last rollout" in row[0]]
    assert row[1:] == ("not measured", "no")


def verdicts(reward_targets: ModuleType, **figures: object) -> dict[str, str]:
    return {target.split(":")[-1].strip(): met for target, _, met in reward_targets.targets(figures)}


@pytest.mark.parametrize(("rate", "met"), [(79.0, "**no**"), (81.0, "yes")])
def test_the_bound_decides(reward_targets: ModuleType, rate: float, met: str) -> None:
    ways = {
        reward_targets.BARE: {"rate": 100.0},
        reward_targets.OURS: {"rate": rate},
        reward_targets.SERIAL: {"rate": 1.0},
    }
    assert verdicts(reward_targets, short={"ways": ways})["at least 0.8 of the bound"] == met


@pytest.mark.parametrize(
    ("seconds", "last_mib", "done", "met"),
    [
        ([9, 10, 11, 12, 13, 14], 1001, 600, ["yes", "yes"]),
        ([9, 10, 11, 12, 13, 20], 1001, 600, ["**no**", "yes"]),  # slower and slower
        ([9, 10, 11, 12, 13, 14], 1500, 600, ["yes", "**no**"]),  # larger and larger
        ([9, 10, 11, 12, 13, 14], 1001, 601, ["no"]),  # stopped before its end
    ],
)
def test_growth_decides(
    reward_targets: ModuleType, seconds: list[int], last_mib: int, done: int, met: list[str]
) -> None:
    mib = [1000] * 5 + [last_mib]
    tenths = [{"completions": 100 * (n + 1), "seconds": seconds[n], "mib": mib[n]} for n in range(6)]
    found = [met for _, _, met in reward_targets.targets({"cached": {"wanted": done, "tenths": tenths}})]
    assert found[-len(met) :] == met
