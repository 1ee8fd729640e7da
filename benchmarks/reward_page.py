"""The page docs/reward_speed.md out of the figures that reward_speed.py keeps; says whether each target is met."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

BARE, OURS, SERIAL = "the bare unique work", "this reward", "serial"
_OF_BOUND, _TIMES_SERIAL, _LATENCIES = 0.8, 50.0, 3.0
_SLOWER, _GROWTH = 1.10, 1.10  # what still counts as linear and as flat
_BUSY = 1.0  # load average before the start

_TITLES = {"long": "Answers of about 45 characters", "short": "Answers of one to four words"}
_GROWTHS = {
    "many": "Many completions, every part real",
    "bounded": "Many completions, every part real, caches that the first tenth fills",
    "cached": "Many completions, every answer from memory",
}

Figures = Mapping[str, Any]


def page(figures: Figures) -> str:
    """The whole page; a part that was never measured is not on it, and its target is called not measured."""
    lines = ["# Speed of the reward", "", "Written by `benchmarks/reward_speed.py`, as are all figures below.", ""]
    lines += ["| target | measured | met |", "|---|---|---|"]
    lines += [f"| {target} | {measured} | {met} |" for target, measured, met in targets(figures)]
    lines += ["", *_why(figures)]
    for part, title in _TITLES.items():
        if part in figures:
            lines += ["", f"## {title}", "", *_comparison(figures[part])]
    if "replay" in figures:
        lines += ["", "## After the last rollout", "", *_replay(figures["replay"])]
    for part, title in _GROWTHS.items():
        if part in figures:
            lines += ["", f"## {title}", "", *_growth(figures[part])]
    return "\n".join([*lines, ""])


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


def _why(figures: Figures) -> Iterator[str]:
    """What stands in the way of a target, as far as the figures say it."""
    for part, title in _TITLES.items():
        if part not in figures:
            continue
        bare, ours = figures[part]["ways"][BARE], figures[part]["ways"][OURS]
        yield (
            f"- {title}: the bare work costs {bare['processor_ms']:.2f} ms of processor a completion (the embedder's "
            f"forward passes and the judge's client), this reward {ours['processor_ms'] - bare['processor_ms']:.2f} ms "
            "more: the reply is taken apart, the judge's key is hashed, six monitors look at it. The client, the "
            "embedder and the judge's stand-in share the machine's cores."
        )
    yield (
        "- The longer the answers, the more of the time is the embedder's, in every way: closer to the bound, fewer "
        f"times the serial way. Where the bound itself is less than {_TIMES_SERIAL:g} times that, no reward gets there."
    )
    yield (
        "- What grows in the long runs are caches, all of them bounded: verdicts, vectors, answers taken apart. The "
        "run whose small caches are full after its first tenth is the one that shows whether anything else grows."
    )


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


def _measured_on(part: Figures) -> str:
    busy = " Other work shared the machine, which slows the ways down unequally." if part["load"] >= _BUSY else ""
    return f"{part['machine']}; {part['date']}, load average {part['load']} before the start.{busy}"


def _comparison(part: Figures) -> list[str]:
    bound, slow = (part["ways"][name]["rate"] for name in (BARE, SERIAL))
    return [
        _measured_on(part),
        "",
        f"{part['completions']} completions in {part['groups']} groups. {part['need_models']} of them need the models: "
        f"{part['questions']} unique questions to the judge, {part['texts']} unique texts to the embedder. The judge "
        "is a server on loopback, 30 ms service time and 64 slots; the embedder is MiniLM on the CPU. The first three "
        f"ways are medians of {part['repetitions']} runs in turn on all completions; the others ran once, on as many "
        "of the first ones as the table says. No run knows verdicts, vectors or texts that another took apart. All but "
        "the serial way run on uvloop, the event loop that Ray gives its actors. The bare work goes through the HTTP "
        "client that this reward uses, pyreqwest.",
        "",
        "| way | completions | judge calls | texts embedded | completions/s | of the bound | times serial | "
        "processor ms a completion |",
        "|" + "---|" * 8,
        *(
            f"| {name} | {way['completions']} | {_some(way['calls'])} | {_some(way['texts'])} | {way['rate']:.1f} | "
            f"{way['rate'] / bound:.2f} | {way['rate'] / slow:.1f} | {way['processor_ms']:.2f} |"
            for name, way in part["ways"].items()
        ),
    ]


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _replay(part: Figures) -> list[str]:
    return [
        _measured_on(part),
        "",
        part["source"],
        "",
        *(
            f"- {run['rollouts']} rollouts over {run['seconds']:.0f} s: complete {1000 * run['late']:.0f} ms after the "
            f"last one, {run['late'] / run['latency']:.1f} judge latencies (p50 {1000 * run['latency']:.0f} ms)"
            for run in part["runs"]
        ),
    ]


def _differences(tenths: Sequence[Figures]) -> list[tuple[int, float]]:
    """(completions, seconds) of each tenth by itself."""
    before = [{"completions": 0, "seconds": 0.0}, *tenths]
    pairs = zip(before, tenths, strict=False)
    return [(now["completions"] - last["completions"], now["seconds"] - last["seconds"]) for last, now in pairs]


def _caches(part: Figures) -> str:
    size = part.get("cache_size")
    return "" if size is None else f"; caches of {size} verdicts and as many vectors"


def _growth(part: Figures) -> list[str]:
    tenths, done = part["tenths"], part["tenths"][-1]["completions"]
    stopped = "" if done >= part["wanted"] else f" (of {part['wanted']}: stopped after {part['limit']:.0f} s)"
    return [
        _measured_on(part),
        "",
        "| completions | seconds | completions/s in this tenth | resident MiB |",
        "|" + "---|" * 4,
        *(
            f"| {now['completions']} | {now['seconds']:.0f} | {more / seconds:.0f} | {now['mib']} |"
            for now, (more, seconds) in zip(tenths, _differences(tenths), strict=True)
        ),
        "",
        f"{done} completions{stopped}, {part['calls']} judge calls{_caches(part)}.",
    ]
