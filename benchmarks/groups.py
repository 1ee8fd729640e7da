"""Functions of lists and signals of whole groups: `python benchmarks/groups.py [lists] [tail]`.

`lists`: functions in a process of their own, with a fixed cost of 20 ms a call, and with 0.1 ms a reply besides, on the
replies of one step at once: one large list and the micro-batches, each alone and with a task for each rollout that
waits for its score, as verl has it; and lists of length 1 (on a part of the replies). The best of many turns, which
other work on the machine disturbs least.

`tail`: rollouts finish as recorded (finish_times.json, sped up), their groups drawn by chance, a judge answers after a
fixed time. Measured is how long the reward is not complete after the last rollout: with the judge alone, as today, and
with `relative` (a further call a group) and `shortest_right` (none) beside it.

Figures go into results/groups.json; `make docs` writes them into docs/groups.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import results_file

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop

from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.host import gc_tuning
from medix_r1.models.verdict import OpenQuestion, Question, Verdict
from medix_r1.rewards.adapters import TrlReward
from medix_r1.rewards.adapters.adapter import Item
from medix_r1.rewards.base import Sample, Seat
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.groups.ranking import letters
from medix_r1.rewards.groups.relative import RelativeReward
from medix_r1.rewards.groups.shortest_right import ShortestRight
from medix_r1.rewards.llm import JudgeReward

STEP, N = 2560, 5  # rollouts of a step of the paper's recipe
FIXED = 0.02  # seconds a call
EACH = 0.0001  # seconds a reply, of the second function
ALONE = 100  # replies in lists of one
TURNS = 21
LATENCY = 0.5  # of the judge, in seconds
SECONDS = 8.0  # in which the recorded rollouts finish here
FINISH_TIMES = Path(__file__).with_name("finish_times.json")


def fixed_cost(completions: list[str], **_: Any) -> list[float]:
    """A function whose call costs 20 ms, however many replies it gets."""
    time.sleep(FIXED)
    return [len(completion) % 7 / 7 for completion in completions]


def sample(number: int, answer: str) -> Sample:
    """A well-formed reply."""
    text = f"<X_RAY><think>I look at it, {number}.</think><answer>{answer}</answer>"
    return Sample(parse_completion(text), parse_reference("<X_RAY>left lung"), question=f"Where is it? {number // N}")


def cost_of_each(completions: list[str], **columns: Any) -> list[float]:
    """20 ms a call and 0.1 ms a reply."""
    time.sleep(EACH * len(completions))
    return fixed_cost(completions, **columns)


async def lists() -> dict[str, Any]:
    """Both functions: replies a second in one list, in micro-batches, and in lists of one."""
    functions = {"a call": "fixed_cost", "a call and a reply": "cost_of_each"}
    return {
        "replies": STEP,
        "turns": TURNS,
        "fixed_milliseconds": FIXED * 1000,
        "each_milliseconds": EACH * 1000,
        "functions": {cost: await rates(f"{Path(__file__).resolve()}:{name}") for cost, name in functions.items()},
    }


async def rates(function: str) -> dict[str, Any]:
    """One function: replies a second in each way, and how the micro-batches compare."""
    samples = [sample(number, f"answer {number}") for number in range(STEP)]
    together, alone = TrlReward(function=function), TrlReward(function=function, max_batch=1)
    ways = ("one_list", "one_list_of_tasks", "micro_batches", "micro_batches_of_tasks", "lists_of_one")
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(TURNS + 2):  # the first two start processes and find how many replies a call takes
        times = {"one_list": await timed(one_list(together, samples))}
        times["one_list_of_tasks"] = await timed(one_list_of_tasks(together, samples))
        times["micro_batches"] = await timed(gathered(together, samples))
        times["micro_batches_of_tasks"] = await timed(gathered_by_tasks(together, samples))
        times["lists_of_one"] = await timed(gathered(alone, samples[:ALONE]))
        if turn > 1:
            for name, seconds in times.items():
                found[name].append((ALONE if name == "lists_of_one" else STEP) / seconds)
    batches = together._batches
    assert batches is not None
    best = {name: round(max(values), 1) for name, values in found.items()}
    calls = batches.calls
    await timed(gathered(together, samples))
    await asyncio.gather(together.aclose(), alone.aclose())
    return {
        "rates": best,
        "calls_of_a_turn": batches.calls - calls,
        "of_one_list": round(best["micro_batches"] / best["one_list"], 2),
        "of_one_list_of_tasks": round(best["micro_batches_of_tasks"] / best["one_list_of_tasks"], 2),
        "times_lists_of_one": round(best["micro_batches"] / best["lists_of_one"], 1),
    }


async def one_list(signal: TrlReward, samples: Sequence[Sample]) -> None:
    """All replies in one call, arguments and scores included."""
    await signal._outcomes([Item(one, one.completion.text) for one in samples])


async def one_list_of_tasks(signal: TrlReward, samples: Sequence[Sample]) -> None:
    """The same call, with a task for each rollout that waits for its score: no way that scores rollouts has fewer."""
    call = asyncio.ensure_future(signal._outcomes([Item(one, one.completion.text) for one in samples]))

    async def waiting(number: int) -> Any:
        return (await asyncio.shield(call))[number]

    await asyncio.gather(*(waiting(number) for number in range(len(samples))))


async def gathered(signal: TrlReward, samples: Sequence[Sample]) -> None:
    """Each reply on its own, as the composite asks."""
    await asyncio.gather(*(signal.score(one) for one in samples))


async def gathered_by_tasks(signal: TrlReward, samples: Sequence[Sample]) -> None:
    """Each reply in a task of its own."""

    async def rollout(one: Sample) -> Any:
        return await signal.score(one)

    await asyncio.gather(*(rollout(one) for one in samples))


async def timed(work: Any) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


class SlowJudge:
    """Answers after a fixed time: YES by a hash, and any ranking."""

    def __init__(self) -> None:
        self.rankings = self.verdicts = 0

    async def judge(self, question: Question) -> Verdict:
        self.verdicts += 1
        await asyncio.sleep(LATENCY)
        matches = len(question.prediction) % 2 == 0
        return Verdict(matches, "YES" if matches else "NO")

    async def write(self, question: OpenQuestion) -> str:
        self.rankings += 1
        await asyncio.sleep(LATENCY)
        shown = sum(line.startswith("<answer_") for line in question.text.splitlines())
        return " > ".join(reversed(letters(shown)))

    def statistics(self) -> dict[str, float]:
        return {"verdicts": float(self.verdicts), "rankings": float(self.rankings)}

    async def aclose(self) -> None: ...


def rewards(judge: SlowJudge) -> dict[str, CompositeReward]:
    """The judge alone, and with each signal of groups beside it."""
    llm = JudgeReward(judge=judge)
    return {
        "llm": CompositeReward(signals={"llm": llm}, weights={"llm": 1.0}),
        "llm, relative": CompositeReward(
            signals={"llm": llm, "relative": RelativeReward(judge=judge)}, weights={"llm": 0.5, "relative": 0.5}
        ),
        "llm, shortest_right": CompositeReward(
            signals={"llm": llm, "shortest_right": ShortestRight(needs=["llm"])},
            weights={"llm": 0.5, "shortest_right": 0.5},
        ),
    }


async def tail() -> dict[str, Any]:
    """Seconds from the last rollout to the last reward, by reward."""
    recorded = json.loads(FINISH_TIMES.read_text(encoding="utf-8"))
    times = sorted(map(float, recorded["seconds"]))[:STEP]
    scale, chance = SECONDS / times[-1], random.Random(0)
    places = list(range(len(times)))
    chance.shuffle(places)  # which rollout of which group finishes when
    found: dict[str, Any] = {}
    for name in rewards(SlowJudge()):
        judge = SlowJudge()
        reward = rewards(judge)[name]
        started = time.perf_counter()
        ends: list[float] = []

        async def one(number: int, at: float, reward: CompositeReward = reward, ends: list[float] = ends) -> None:
            made = sample(number, f"{'very ' * chance.randrange(4)}left {number % 4}")
            await reward.score(Sample(**{**fields(made), "seat": Seat(f"g{number // N}", number % N, N)}))
            ends.append(at)

        tasks = []
        for number, finished in zip(places, times, strict=True):
            if (wait := started + finished * scale - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(one(number, finished)))
        last = time.perf_counter()
        await asyncio.gather(*tasks)
        seconds = time.perf_counter() - last
        found[name] = {"seconds": round(seconds, 3), "latencies": round(seconds / LATENCY, 2)} | judge.statistics()
    today = found["llm"]["latencies"]
    return {
        "rollouts": len(times),
        "group": N,
        "judge_seconds": LATENCY,
        "finish_in_seconds": SECONDS,
        "rewards": found,
        "more_than_today": {name: round(one["latencies"] - today, 2) for name, one in found.items() if name != "llm"},
    }


def fields(made: Sample) -> dict[str, Any]:
    """The fields of a sample."""
    return {name: getattr(made, name) for name in made.__dataclass_fields__}


def main() -> None:
    """Measure the named parts, print and keep them."""
    gc_tuning.tune_for_scoring()  # as the process that scores in a run
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["lists", "tail", []])
    for part in parser.parse_args().parts or ["lists", "tail"]:
        about = results_file.provenance()
        found = about | uvloop.run({"lists": lists, "tail": tail}[part]())
        print(json.dumps(found, indent=1))
        results_file.keep("groups", part, found)


if __name__ == "__main__":
    main()
