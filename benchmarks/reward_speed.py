"""The reward's speed on one machine, in one run: `python benchmarks/reward_speed.py [--out docs/reward_speed.md]`.

Compares on the same completions and the same loopback judge (30 ms service time, 64 slots, a process of its own): the
bare unique work, this reward, this reward and a user's function as verl calls them, and a serial loop in the manner of
the paper's public code (on a part of the completions). Then: how long the reward is not complete after the last of
2,560 recorded rollouts, and whether time is linear and memory flat over many completions. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import reward_server
from reward_data import GROUP, Row, draw, draw_demo, needs_models, unique_questions, unique_texts
from reward_ways import (
    Bare,
    Close,
    Ours,
    UserFunction,
    byte_tokenizer,
    load_encoder,
    our_manager,
    run_manager,
    serial,
    settings,
    trajectories,
    verl_manager,
)
from rich.console import Console

from medix_r1.machine import this_machine

STEP = 2560  # completions of a step of the paper's recipe: 512 questions x 5 rollouts
MIB = 1024**2
FINISH_TIMES = Path(__file__).with_name("finish_times.json")
progress = Console(stderr=True)


@dataclass(frozen=True)
class Timed:
    """One way in one repetition."""

    completions: int
    seconds: float
    processor_seconds: float  # of this process, all threads: steadier than time on a machine that others use too
    calls: int

    @property
    def rate(self) -> float:
        return self.completions / self.seconds


class Bench:
    """What all measurements share: the judge's address, the rows of one step, and the encoder of the other ways."""

    def __init__(self, address: str, rows: Sequence[Row], encoder: Any) -> None:
        self.address, self.rows, self.encoder = address, rows, encoder

    def timed(self, name: str, completions: int, work: Callable[[], Any]) -> Timed:
        """Run once and count the calls that the judge got."""
        gc.collect()
        before, start, processor = reward_server.calls(self.address), time.perf_counter(), time.process_time()
        work()
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
        found = Timed(completions, seconds, processor, reward_server.calls(self.address) - before)
        progress.print(f"{name}: {found.rate:.0f} completions/s, {found.calls} calls", highlight=False)
        return found

    def bare(self) -> Timed:
        bare = Bare(self.address, self.rows, self.encoder)
        return self.timed("bare", len(self.rows), lambda: asyncio.run(bare.run()))

    def ours(self) -> Timed:
        ours = Ours(settings(self.address))

        async def run() -> None:
            scored = await ours.run(self.rows)
            assert all(one.total is not None for one in scored)
            await ours.aclose()

        return self.timed("ours", len(self.rows), lambda: asyncio.run(run()))

    def in_verl(self, name: str, rows: Sequence[Row], make: Callable[[Any], tuple[Any, Close]]) -> Timed:
        tokenizer = byte_tokenizer()
        given = trajectories(rows, tokenizer)

        async def run() -> None:  # verl's manager takes the loop that runs
            nonlocal seconds, processor
            manager, close = make(tokenizer)
            start, processor_start = time.perf_counter(), time.process_time()
            found = await run_manager(manager, given)
            seconds, processor = time.perf_counter() - start, time.process_time() - processor_start
            assert len(found) == len(given)
            await close()

        seconds = processor = 0.0
        whole = self.timed(f"{name}, with its start", len(rows), lambda: asyncio.run(run()))
        return Timed(whole.completions, seconds, processor, whole.calls)

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
        return self.timed("serial", len(part), lambda: serial(self.address, part, self.encoder))


def compare(bench: Bench, options: argparse.Namespace) -> list[str]:
    """All ways in turn, several times over; the Markdown of the medians."""
    warm = Bench(bench.address, draw(20, seed=7), bench.encoder)
    ways: dict[str, tuple[Callable[[], Timed], list[Timed]]] = {
        "the bare unique work": (bench.bare, []),
        "this reward": (bench.ours, []),
        "this reward, called by verl": (bench.ours_in_verl, []),
    }
    for warm_up in (warm.bare, warm.ours, warm.ours_in_verl):
        warm_up()
    for _ in range(options.repetitions):
        for measure, found in ways.values():
            found.append(measure())
    for name, once in (
        ("verl's manager with a user's function", lambda: bench.user_in_verl(options.user)),
        ("serial", lambda: bench.serial(options.serial)),
    ):
        ways[name] = (once, [once()])
    rates = {name: statistics.median(one.rate for one in found) for name, (_, found) in ways.items()}
    bound, slow = rates["the bare unique work"], rates["serial"]
    lines = [
        "| way | completions | judge calls | completions/s | of the bound | times serial | processor ms a completion |",
        "|" + "---|" * 7,
    ]
    for name, (_, found) in ways.items():
        calls = ", ".join(sorted({str(one.calls) for one in found}))
        work = statistics.median(1000 * one.processor_seconds / one.completions for one in found)
        rate = rates[name]
        lines.append(
            f"| {name} | {found[0].completions} | {calls} | {rate:.1f} | {rate / bound:.2f} | {rate / slow:.1f} | "
            f"{work:.2f} |"
        )
    return lines


def replay(address: str, rows: Sequence[Row], finished: Sequence[float]) -> str:
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

    late, latency = asyncio.run(run())
    return (
        f"{len(rows)} rollouts over {max(finished):.0f} s: complete {1000 * late:.0f} ms after the last one, "
        f"{late / latency:.1f} judge latencies (p50 {1000 * latency:.0f} ms)"
    )


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


def growth(address: str, total: int, cached: bool, limit: float) -> list[str]:
    """Time and memory over many completions, a step's worth at a time; `cached` scores the same ones again."""
    ours = Ours(settings(address))
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
    found = asyncio.run(run())
    calls = reward_server.calls(address) - before
    lines = ["| completions | seconds | completions/s in this tenth | resident MiB |", "|" + "---|" * 4]
    last = (0, 0.0, 0.0)
    for now in found:
        lines.append(f"| {now[0]} | {now[1]:.0f} | {(now[0] - last[0]) / (now[1] - last[1]):.0f} | {now[2]:.0f} |")
        last = now
    done = found[-1][0] if found else 0
    stopped = "" if done >= total else f" (of {total}: stopped after {limit:.0f} s)"
    return [*lines, "", f"{done} completions{stopped}, {calls} judge calls."]


def _about(rows: Sequence[Row], options: argparse.Namespace) -> str:
    return (
        f"{len(rows)} completions in {len(rows) // GROUP} groups. {len(list(needs_models(rows)))} of them need the "
        f"models: {len(unique_questions(rows))} unique questions to the judge, {len(unique_texts(rows))} unique texts "
        f"to the embedder. The judge is a server on loopback, {1000 * reward_server.SERVICE:.0f} ms service time and "
        f"{reward_server.SLOTS} slots; the embedder is MiniLM on the CPU. The first three ways are medians of "
        f"{options.repetitions} runs in turn on all completions; the others ran once, on as many of the first ones as "
        "the table says. Caches are empty at the start of each run."
    )


def main() -> None:
    """Measure, and print or write the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=STEP)
    parser.add_argument("--short", action="store_true", help="the demo's answers of one to four words")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--user", type=int, default=STEP, help="completions that the user's function scores")
    parser.add_argument("--serial", type=int, default=200, help="completions that the serial way scores")
    parser.add_argument("--many", type=int, default=100_000, help="completions with real parts; 0 leaves them out")
    parser.add_argument("--cached", type=int, default=1_000_000, help="completions answered from memory; 0: none")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for each of these two")
    parser.add_argument("--replays", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the Markdown here instead of printing it")
    options = parser.parse_args()
    rows = (draw_demo if options.short else draw)(options.completions // GROUP)
    lines = ["# Speed of the reward", "", f"Written by `benchmarks/reward_speed.py` on {datetime.date.today()}.", ""]
    lines += [
        f"{this_machine()}; load average {psutil.getloadavg()[0]:.1f} at the start.",
        "",
        _about(rows, options),
        "",
    ]
    with reward_server.running() as address:
        lines += compare(Bench(address, rows, load_encoder()), options)
        if options.replays:
            recorded = json.loads(FINISH_TIMES.read_text(encoding="utf-8"))
            finished = recorded["seconds"][: len(rows)]
            lines += ["", "## After the last rollout", "", recorded["source"], ""]
            lines += [f"- {replay(address, rows, finished)}" for _ in range(options.replays)]
        for total, cached, title in (
            (options.many, False, "Many completions, every part real"),
            (options.cached, True, "Many completions, every answer from memory"),
        ):
            if total:
                lines += ["", f"## {title}", "", *growth(address, total, cached, options.limit)]
    lines += ["", f"Load average at the end: {psutil.getloadavg()[0]:.1f}.", ""]
    text = "\n".join(lines)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
