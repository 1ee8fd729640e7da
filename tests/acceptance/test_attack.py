"""`medix-r1 reward attack` against several holes at once, and after a kill."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gullible_judge import HOLES, REWARD, at, gullible, medix, names
from tests.support.judge_stub import JudgeStub

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]


@pytest.fixture
def stub() -> Iterator[JudgeStub]:
    with JudgeStub(gullible()) as server:
        yield server


def test_finds_several_planted_holes_together_within_the_budget(tmp_path: Path, stub: JudgeStub) -> None:
    several = ["contains 'banana'", "contains any digit", "the answer is 'unknown'"]
    stub.answer = gullible(*(HOLES[name] for name in several))

    code, printed = medix("attack", *REWARD, at(stub), "--out", str(tmp_path), "--budget", "400")

    assert code == 1, printed
    assert len(stub.calls) <= 400
    assert set(several) <= set(names(tmp_path)), printed
    assert all(name in printed for name in ("What pays for wrong answers", *several))
    calls = len(stub.calls)
    code, printed = medix("probe", *REWARD, at(stub), "--probes", str(tmp_path / "probes.yaml"))
    assert code == 1, printed
    assert re.search(r"(\d+) attacks, 0 right answers: \1 break a bound", printed), printed
    assert len(stub.calls) > calls
    stub.answer = gullible()
    assert medix("probe", *REWARD, at(stub), "--probes", str(tmp_path / "probes.yaml"))[0] == 0


def test_after_a_kill_the_same_command_goes_on_and_asks_nothing_twice(tmp_path: Path, stub: JudgeStub) -> None:
    arguments = ["attack", *REWARD, at(stub), "judge.client.concurrency=4", "--out", str(tmp_path), "--budget", "160"]
    stub.answer, stub.delay = gullible(HOLES["contains 'banana'"]), 0.05
    running = subprocess.Popen(
        [sys.executable, "-m", "medix_r1.cli", "reward", *arguments, "--in-flight", "4"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(stub.calls) < 40:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    stub.delay = 0.0

    code, printed = medix(*arguments)
    asked = [call["messages"][0]["content"] for call in stub.calls]
    assert code == 1, printed
    assert len(asked) <= 160 + 4  # what was in flight at the kill is asked again
    assert len(asked) - len(set(asked)) <= 4
    assert "contains 'banana'" in names(tmp_path)

    calls = len(stub.calls)
    assert medix(*arguments)[0] == 1
    assert len(stub.calls) == calls
    code, printed = medix(*arguments, "reward.overlong=zero")
    assert (code, "--out" in printed) == (1, True)
    assert medix(*arguments, "--restart", "--dry-run")[0] == 0
    assert len(stub.calls) == calls
