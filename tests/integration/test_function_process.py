"""A function in a process of its own: deadlines, cancelled calls, death on either side, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import uvloop

from medix_r1.errors import RewardError, RewardTimeout
from medix_r1.rewards.adapters import TrlReward, VerlReward
from medix_r1.rewards.base import Reward
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.format import FormatReward
from tests.support.problems import coded
from tests.unit.rewards.cases import reply, sample

HERE = "tests.unit.rewards.foreign"
CASE = sample(reply("left lung"), "<X_RAY>left lung")
SLOW = sample(reply("a" * 64), "<X_RAY>left lung")  # 2^64 ways for `backtracks`
QUICK = sample(reply("aab"), "<X_RAY>left lung")


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


async def wait_until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(300):
        while not true():
            await asyncio.sleep(0.01)


async def test_one_process_serves_all_calls_and_ends_with_the_signal():
    before = len(children())
    signal_ = VerlReward(function=f"{HERE}:count")

    async with contextlib.aclosing(signal_):
        scores = [await signal_.score(CASE) for _ in range(3)]
        working = len(children()) - before

    assert [score.value for score in scores] == [0.1, 0.2, 0.3]
    assert (working, len(children()) - before) == (1, 0)


async def test_a_call_that_takes_too_long_is_stopped_while_the_loop_goes_on():
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with contextlib.aclosing(VerlReward(function=f"{HERE}:backtracks", part="answer", timeout=0.3)) as signal_:
        with pytest.raises(RewardTimeout, check=coded("timeout", "0.3 s")):
            await signal_.score(SLOW)
        stopped = ticks
        assert (await signal_.score(QUICK)).value == 1.0  # a new process
    ticking.cancel()

    assert stopped > 1


async def test_a_timeout_masks_its_sample_and_stops_no_run():
    signal_ = VerlReward(function=f"{HERE}:backtracks", part="answer", timeout=0.2)
    signals: dict[str, Reward | None] = {"mine": signal_, "format": FormatReward()}

    async with contextlib.aclosing(signal_):
        breakdown = await CompositeReward(signals=signals, weights={"mine": 0.5, "format": 0.5}).score(SLOW)
        monitored = await CompositeReward(signals=signals, weights={"format": 1.0}).score(SLOW)

    assert (breakdown.total, breakdown.outage) == (None, False)
    assert "0.2 s" in (breakdown.failure or "")
    assert monitored.total == 1.0


async def test_a_cancelled_call_leaves_no_process():
    before = len(children())
    signal_ = VerlReward(function=f"{HERE}:backtracks", part="answer", timeout=600)
    call = asyncio.ensure_future(signal_.score(SLOW))
    await wait_until(lambda: len(children()) > before)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert len(children()) == before


async def test_what_the_function_started_dies_with_it(tmp_path: Path):
    file = tmp_path / "pids"
    signal_ = VerlReward(function=f"{HERE}:waits_with_a_child", part="answer", timeout=600)
    call = asyncio.ensure_future(signal_.score(sample(reply(str(file)), "<X_RAY>left lung")))
    await wait_until(lambda: file.exists() and len(file.read_text().split()) == 2)

    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call

    await wait_until(lambda: not any(runs(int(pid)) for pid in file.read_text().split()))


@pytest.mark.parametrize(("function", "names"), [("dies", "exit code 3"), ("raises_strange", "Strange: odd")])
async def test_what_ends_a_call_otherwise_stops_the_run_and_says_why(function: str, names: str):
    async with contextlib.aclosing(VerlReward(function=f"{HERE}:{function}")) as signal_:
        with pytest.raises(RewardError, check=coded("raised", names)):
            await signal_.score(CASE)
        breakdown = await CompositeReward(signals={"mine": signal_}, weights={"mine": 1.0}).score(CASE)

    assert breakdown.outage


async def test_a_process_that_died_between_two_calls_is_replaced():
    before = children()
    async with contextlib.aclosing(VerlReward(function=f"{HERE}:count")) as signal_:
        assert (await signal_.score(CASE)).value == 0.1
        (idle,) = [one for one in children() if one not in before]
        idle.kill()
        # A zombie whose threads still end is nothing that `poll` sees.
        await wait_until(lambda: os.waitid(os.P_PID, idle.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))

        assert (await signal_.score(CASE)).value == 0.1  # a new one, which has counted nothing


async def test_a_signal_that_nobody_closes_leaves_no_process():
    before = len(children())
    signal_ = VerlReward(function=f"{HERE}:count")
    await signal_.score(CASE)
    assert len(children()) == before + 1

    del signal_
    gc.collect()

    assert len(children()) == before


async def test_a_cancelled_list_leaves_no_process(tmp_path: Path):
    before = len(children())
    signal_ = TrlReward(function=f"{HERE}:trl_waits", timeout=600)
    calls = [asyncio.ensure_future(signal_.score(CASE)) for _ in range(3)]
    await wait_until(lambda: len(children()) > before)

    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    await wait_until(lambda: len(children()) == before)


def test_lists_that_fill_the_socket_pass_on_rays_event_loop():
    """A signal of megabytes, there and back, twice over one socket."""

    async def scored() -> list[float | None]:
        async with contextlib.aclosing(TrlReward(function=f"{HERE}:trl_without_kwargs", timeout=60)) as signal_:
            cases = [sample("x" * 3000 + ("left" if n % 2 else ""), "left") for n in range(900)]
            rounds = [await asyncio.gather(*map(signal_.score, cases)) for _ in range(2)]
            return [one.value for found in rounds for one in found]

    assert uvloop.run(scored()) == [float(n % 2) for n in range(900)] * 2


async def test_one_slow_reply_of_a_list_masks_itself_alone():
    async with contextlib.aclosing(TrlReward(function=f"{HERE}:trl_backtracks", timeout=0.5)) as signal_:
        cases = [sample("a" * 64 if n == 3 else "aab", "x") for n in range(6)]
        found = await asyncio.gather(*(signal_.score(case) for case in cases), return_exceptions=True)

    assert [type(one).__name__ for one in found] == ["Score"] * 3 + ["RewardTimeout"] + ["Score"] * 2


async def test_several_calls_run_at_once_in_as_many_processes():
    async with contextlib.aclosing(TrlReward(function=f"{HERE}:trl_async", threads=2)) as signal_:
        scores = await asyncio.gather(*(signal_.score(CASE) for _ in range(5)))

    assert [score.value for score in scores] == [0.75] * 5


PARENT = f"""
import asyncio
from medix_r1.rewards.adapters import VerlReward
from tests.integration.test_function_process import SLOW
asyncio.run(VerlReward(function="{HERE}:backtracks", part="answer", timeout=600).score(SLOW))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_the_process_dies_with_its_parent(number: signal.Signals):
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=root, stderr=subprocess.DEVNULL)
    try:
        await wait_until(lambda: busy(parent.pid))
        (child,) = psutil.Process(parent.pid).children()

        parent.send_signal(number)
        parent.wait(timeout=300)

        await wait_until(lambda: not runs(child.pid))
    finally:
        parent.kill()
        parent.wait()


def busy(pid: int) -> bool:
    """Whether a process has a child that computes."""
    return any(one.cpu_times().user > 0.5 for one in psutil.Process(pid).children())


def runs(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("timeout", [None, 60])
async def test_a_tensor_is_read_in_a_thread_and_in_a_process(dtype: str, timeout: float | None):
    signal_ = TrlReward(function=f"{HERE}:tensor", columns={"dtype": dtype}, timeout=timeout)
    async with contextlib.aclosing(signal_):
        assert (await signal_.score(CASE)).value == 0.5
