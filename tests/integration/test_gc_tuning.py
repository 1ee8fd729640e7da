"""What is said of cycles in medix_r1/host/gc_tuning.py, with a real embedder and a real client."""

import asyncio
import gc

from medix_r1 import config as configs
from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.rewards.base import Sample
from medix_r1.rewards.build import build_reward
from tests.support.judge_stub import JudgeStub


def case(number: int) -> Sample:
    text = f"<X_RAY><think>so</think><answer>the left one, {number}</answer>"
    return Sample(parse_completion(text), parse_reference("<X_RAY>left lung"), question=f"Question {number}?")


async def test_a_scored_sample_leaves_no_cycle_behind() -> None:
    with JudgeStub() as stub:
        overrides = [
            "judge=remote",
            f"judge.client.base_url={stub.address}",
            "judge.client.prompt=match_short",
            "embedder=minilm",
        ]
        composite = build_reward(configs.compose_reward(overrides).reward)
        await asyncio.gather(*(composite.score(case(i)) for i in range(70)))  # all connections are open, all is loaded
        gc.collect()
        gc.disable()
        try:
            breakdowns = await asyncio.gather(*(composite.score(case(i)) for i in range(100, 300)))
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [found for found in gc.garbage if not is_of_the_stub(found)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
            await composite.aclose()

    assert all(breakdown.total is not None for breakdown in breakdowns)
    assert len(stub.calls) == 270
    assert len(left) < 200, left[:5]  # not one a sample


def is_of_the_stub(found: object) -> bool:
    """http.server, which runs in this process here, makes some of its own."""
    return type(found).__module__.startswith(("http", "email", "socketserver", "threading"))
