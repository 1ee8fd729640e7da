"""The reward's speed on one machine: `python reward_speed.py [long] [short] [replay] [many] [bounded] [cached]`.

`long` and `short` (the answers' length) compare on the same completions and the same loopback judge (30 ms service
time, 64 slots, a process of its own): the bare unique work, this reward, this reward and a user's function as verl
calls them, and a serial loop in the manner of the paper's public code (on a part of the completions). All but the last
run on uvloop, the event loop that Ray gives its actors. `replay`: how long the reward is not complete after the last of
2,560 recorded rollouts. `many`, `bounded`, `cached`: whether time is linear and memory flat over many completions: with
the caches of the default config, which such a run does not fill; with caches that its first tenth fills; with every
answer from memory. Without a word all six are measured.

Figures go into results/reward_speed.json, part by part; parts that were not measured now keep their earlier figures.
`make docs` writes them into docs/reward_speed.md.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import results_file
import reward_server
import reward_targets
import uvloop
from reward_data import GROUP, Row, draw, draw_demo, needs_models, unique_questions, unique_texts
from reward_ways import (
    Bare,
    Close,
    Ours,
    UserFunction,
    byte_tokenizer,
    embedded,
    load_encoder,
    our_manager,
    run_manager,
    serial,
    settings,
    trajectories,
    verl_manager,
)
from rich.console import Console

from medix_r1.host.bounded_cache import clear_caches

PARTS = ("long", "short", "replay", "many", "bounded", "cached")
STEP = 2560  # completions of a step of the paper's recipe: 512 questions x 5 rollouts
MIB = 1024**2
FULL_AFTER = 50  # a tenth of `many` asks a twentieth of its completions anew, which fills caches of a fiftieth
FINISH_TIMES = Path(__file__).with_name("finish_times.json")
progress = Console(stderr=True)


@dataclass(frozen=True)
class Timed:
    """One way in one repetition."""

    completions: int
    seconds: float
    processor_seconds: float  # of this process, all threads: steadier than time on a machine that others use too
    calls: int
    texts: int  # that were embedded

    @property
    def rate(self) -> float:
        return self.completions / self.seconds


class Bench:
    """What all measurements share: the judge's address, the rows of one step, and the encoder of the other ways."""

    def __init__(self, address: str, rows: Sequence[Row], encoder: Any) -> None:
        self.address, self.rows, self.encoder = address, rows, encoder

    def timed(self, name: str, completions: int, work: Callable[[], int | None]) -> Timed:
        """Run once and count the judge's calls; `work` returns how many texts it embedded, None for two a call."""
        clear_caches()
        gc.collect()
        before, start, processor = reward_server.calls(self.address), time.perf_counter(), time.process_time()
        texts = work()
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
        calls = reward_server.calls(self.address) - before
        found = Timed(completions, seconds, processor, calls, 2 * calls if texts is None else texts)
        progress.print(f"{name}: {found.rate:.0f} completions/s, {found.calls} calls", highlight=False)
        return found

    def bare(self) -> Timed:
        bare = Bare(self.address, self.rows, self.encoder)
        return self.timed("bare", len(self.rows), lambda: uvloop.run(bare.run()))

    def ours(self) -> Timed:
        ours = Ours(settings(self.address))

        async def run() -> int:
            scored = await ours.run(self.rows)
            assert all(one.total is not None for one in scored)
            await ours.aclose()
            return int(ours.composite.statistics()["embed/texts"])

        return self.timed("ours", len(self.rows), lambda: uvloop.run(run()))

    def in_verl(self, name: str, rows: Sequence[Row], make: Callable[[Any], tuple[Any, Close]]) -> Timed:
        tokenizer = byte_tokenizer()
        given = trajectories(rows, tokenizer)

        async def run() -> int | None:  # verl's manager takes the loop that runs
            nonlocal seconds, processor
            manager, close = make(tokenizer)
            start, processor_start = time.perf_counter(), time.process_time()
            found = await run_manager(manager, given)
            seconds, processor = time.perf_counter() - start, time.process_time() - processor_start
            assert len(found) == len(given)
            await close()
            return embedded(manager)

        seconds = processor = 0.0
        whole = self.timed(f"{name}, with its start", len(rows), lambda: uvloop.run(run()))
        return dataclasses.replace(whole, seconds=seconds, processor_seconds=processor)

    def ours_in_verl(self) -> Timed:
        return self.in_verl("ours in verl", self.rows, lambda tokenizer: our_manager(settings(self.address), tokenizer))

    def user_in_verl(self, share: int) -> Timed:
        user = UserFunction(self.address, self.encoder)
        return self.in_verl(
            "user's function in verl",
            self.rows[:share],
            lambda tokenizer: (verl_manager(user.compute_score, tokenizer), user.aclose),
        )

    def serial(self, share: int) -> Timed:
        part = self.rows[:share]

        def run() -> None:
            serial(self.address, part, self.encoder)

        return self.timed("serial", len(part), run)


def compare(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """All ways in turn, several times over; the medians."""
    warm = Bench(bench.address, draw(20, seed=7), bench.encoder)
    ways: dict[str, tuple[Callable[[], Timed], list[Timed]]] = {
        reward_targets.BARE: (bench.bare, []),
        reward_targets.OURS: (bench.ours, []),
        "this reward, called by verl": (bench.ours_in_verl, []),
    }
    for warm_up in (warm.bare, warm.ours, warm.ours_in_verl):
        warm_up()
    for _ in range(options.repetitions):
        for measure, found in ways.values():
            found.append(measure())
    for name, once in (
        ("verl's manager with a user's function", lambda: bench.user_in_verl(options.user)),
        (reward_targets.SERIAL, lambda: bench.serial(options.serial)),
    ):
        ways[name] = (once, [once()])
    rows = bench.rows
    return {
        "completions": len(rows),
        "groups": len(rows) // GROUP,
        "need_models": len(list(needs_models(rows))),
        "questions": len(unique_questions(rows)),
        "texts": len(unique_texts(rows)),
        "repetitions": options.repetitions,
        "ways": {name: _medians(found) for name, (_, found) in ways.items()},
    }


def _medians(found: Sequence[Timed]) -> dict[str, Any]:
    return {
        "completions": found[0].completions,
        "calls": sorted({one.calls for one in found}),
        "texts": sorted({one.texts for one in found}),
        "rate": round(statistics.median(one.rate for one in found), 2),
        "processor_ms": round(statistics.median(1000 * one.processor_seconds / one.completions for one in found), 3),
    }


def replay(address: str, rows: Sequence[Row], finished: Sequence[float]) -> dict[str, float]:
    """Score each row at the moment at which its rollout finished; how long after the last one all scores are there."""
    ours = Ours(settings(address))

    async def one(row: Row, at: float, start: float) -> None:
        await asyncio.sleep(at - (time.perf_counter() - start))
        await ours.score(row)

    async def run() -> tuple[float, float]:
        start = time.perf_counter()
        pairs = zip(rows, finished, strict=True)
        await asyncio.gather(*(one(row, at, start) for row, at in pairs))
        late = time.perf_counter() - start - max(finished)
        latency = ours.composite.statistics()["llm/latency_p50"]
        await ours.aclose()
        return late, latency

    late, latency = uvloop.run(run())
    progress.print(f"replay: {late:.3f} s after the last one", highlight=False)
    return {"rollouts": len(rows), "seconds": max(finished), "late": round(late, 4), "latency": round(latency, 4)}


def replays(address: str, options: argparse.Namespace) -> dict[str, Any]:
    """The recorded step, several times over."""
    recorded = json.loads(FINISH_TIMES.read_text(encoding="utf-8"))
    rows = draw(options.completions // GROUP)
    finished = recorded["seconds"][: len(rows)]
    return {"source": recorded["source"], "runs": [replay(address, rows, finished) for _ in range(options.replays)]}


async def _steps(
    score: Callable[[int], Awaitable[int]], total: int, every: int, limit: float
) -> list[tuple[int, float, float]]:
    """(completions, seconds, resident MiB) after each `every` completions, until `total` or `limit` seconds."""
    process, done, start, found = psutil.Process(), 0, time.perf_counter(), []
    number = 0
    while done < total and time.perf_counter() - start < limit:
        done += await score(number)
        number += 1
        out_of_time = time.perf_counter() - start >= limit
        if done // every > (len(found) and found[-1][0] // every) or done >= total or out_of_time:
            found.append((done, time.perf_counter() - start, process.memory_info().rss / MIB))
            progress.print("{} completions, {:.0f} s, {:.0f} MiB".format(*found[-1]), highlight=False)
    return found


def growth(
    address: str, total: int, limit: float, *, cached: bool = False, cache_size: int | None = None
) -> dict[str, Any]:
    """Time and memory over many completions, a step's worth at a time; `cached` scores the same ones again.

    `cache_size` is that of the verdicts and of the vectors of references; None: that of the default config.
    """
    sizes = () if cache_size is None else (f"judge.client.cache_size={cache_size}", f"embedder.cache_size={cache_size}")
    ours = Ours(settings(address, *sizes))
    size = min(STEP, total)
    same = draw(size // GROUP, seed=1)

    async def score(number: int) -> int:
        rows = same if cached else draw(size // GROUP, seed=1000 + number)
        await ours.run(rows)
        return len(rows)

    async def run() -> list[tuple[int, float, float]]:
        if cached:
            await score(0)
        found = await _steps(score, total, max(size, total // 10), limit)
        await ours.aclose()
        return found

    before = reward_server.calls(address)
    found = uvloop.run(run())
    calls = reward_server.calls(address) - before
    tenths = [{"completions": done, "seconds": round(took, 4), "mib": round(mib)} for done, took, mib in found]
    return {"wanted": total, "limit": limit, "calls": calls, "cache_size": cache_size, "tenths": tenths}


def measures(address: str, options: argparse.Namespace) -> Mapping[str, Callable[[], dict[str, Any]]]:
    """How each part is measured."""

    def comparison(rows: Sequence[Row]) -> dict[str, Any]:
        return compare(Bench(address, rows, load_encoder()), options)

    groups = options.completions // GROUP
    return {
        "long": lambda: comparison(draw(groups)),
        "short": lambda: comparison(draw_demo(groups)),
        "replay": lambda: replays(address, options),
        "many": lambda: growth(address, options.many, options.limit),
        "bounded": lambda: growth(address, options.many, options.limit, cache_size=options.many // FULL_AFTER),
        "cached": lambda: growth(address, options.cached, options.limit, cached=True),
    }


def main() -> None:
    """Measure and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--completions", type=int, default=STEP)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--user", type=int, default=640, help="completions that the user's function scores")
    parser.add_argument("--serial", type=int, default=200, help="completions that the serial way scores")
    parser.add_argument("--many", type=int, default=100_000, help="completions with real parts")
    parser.add_argument("--cached", type=int, default=1_000_000, help="completions answered from memory")
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds for each of these two")
    parser.add_argument("--replays", type=int, default=2)
    parser.add_argument("--results", type=Path, default=results_file.RESULTS, help="folder of reward_speed.json")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    about = results_file.provenance()
    with reward_server.running() as address:
        for part in options.parts or PARTS:
            figures = measures(address, options)[part]()
            results_file.keep("reward_speed", part, {**about, **figures}, folder=options.results)


if __name__ == "__main__":
    main()
