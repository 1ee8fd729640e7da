"""Whether each target of the reward's speed is met, out of the figures that reward_speed.py keeps."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

BARE, OURS, SERIAL = "the bare unique work", "this reward", "serial"
_OF_BOUND, _TIMES_SERIAL, _LATENCIES = 0.8, 50.0, 3.0
_SLOWER, _GROWTH = 1.10, 1.10  # what still counts as linear and as flat

_TITLES = {"long": "Answers of about 45 characters", "short": "Answers of one to four words"}
_GROWTHS = {
    "many": "Many completions, every part real",
    "bounded": "Many completions, every part real, caches that the first tenth fills",
    "cached": "Many completions, every answer from memory",
}

Figures = Mapping[str, Any]


def targets(figures: Figures) -> Iterator[tuple[str, str, str]]:
    """(target, what was measured, whether it is met) of every target."""
    for part, title in _TITLES.items():
        ways = figures[part]["ways"] if part in figures else None
        of_bound = ways and ways[OURS]["rate"] / ways[BARE]["rate"]
        yield _row(f"{title}: at least {_OF_BOUND:g} of the bound", of_bound, "{:.2f}", _OF_BOUND)
        faster = ways and ways[OURS]["rate"] / ways[SERIAL]["rate"]
        reach = f"; the bound itself is {ways[BARE]['rate'] / ways[SERIAL]['rate']:.1f} times" if ways else ""
        yield _row(f"{title}: at least {_TIMES_SERIAL:g} times the serial way", faster, "{:.1f}" + reach, _TIMES_SERIAL)
    runs = figures["replay"]["runs"] if "replay" in figures else []
    late = max((run["late"] / run["latency"] for run in runs), default=None)
    title = f"complete at most {_LATENCIES:g} judge latencies after the last rollout"
    yield _row(title, late, "{:.1f}", _LATENCIES, most=True)
    for part, title in _GROWTHS.items():
        yield from _growth_targets(title, figures.get(part))


def _growth_targets(title: str, measured: Figures | None) -> Iterator[tuple[str, str, str]]:
    problem = "not measured" if measured is None else _cut_short(measured)
    if measured is None or problem is not None:
        yield f"{title}: time linear, memory flat", problem or "", "no"
        return
    # the first tenth embeds each text for the first time, so it says nothing about growth; single tenths are noisy
    paces = [seconds / done for done, seconds in _differences(measured["tenths"])]
    half = len(paces) // 2
    slower = statistics.mean(paces[half:]) / statistics.mean(paces[1:half])
    target = (
        f"{title}: time linear (a completion of the second half at most {_SLOWER:g} times as long as one of the first)"
    )
    yield _row(target, slower, "{:.2f}", _SLOWER, most=True)
    first, last = measured["tenths"][0]["mib"], measured["tenths"][-1]["mib"]
    target = f"{title}: memory flat (after the last tenth at most {_GROWTH:g} times that after the first)"
    yield _row(target, last / first, f"{{:.2f}} ({first} and {last} MiB)", _GROWTH, most=True)


def _cut_short(measured: Figures) -> str | None:
    """Why the tenths of a long run say nothing about its growth."""
    done = measured["tenths"][-1]["completions"]
    if done < measured["wanted"]:
        return f"stopped after {done} of {measured['wanted']} completions"
    return "too few tenths" if len(measured["tenths"]) < 5 else None


def _row(target: str, value: float | None, text: str, bound: float, *, most: bool = False) -> tuple[str, str, str]:
    if value is None:
        return target, "not measured", "no"
    met = value <= bound if most else value >= bound
    return target, text.format(value), "yes" if met else "**no**"


def _differences(tenths: Sequence[Figures]) -> list[tuple[int, float]]:
    """(completions, seconds) of each tenth by itself."""
    before = [{"completions": 0, "seconds": 0.0}, *tenths]
    pairs = zip(before, tenths, strict=False)
    return [(now["completions"] - last["completions"], now["seconds"] - last["seconds"]) for last, now in pairs]
