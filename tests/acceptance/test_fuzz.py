"""No command line whatever ends in a traceback: 1,000 random ones in one process."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.composed_once import compose_once
from tests.support.fuzz import command_lines
from tests.support.machine import good_machine
from tests.support.no_traceback import said

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example]
NOT_SHRUNK = [Phase.explicit, Phase.generate]  # each example composes a config, and shrinking takes hundreds
EXAMPLES, TOLD = 1000, 50


@pytest.fixture
def progress(monkeypatch, capfd):
    """On a good machine: tells how far the test is. It is made once for all examples."""
    good_machine(monkeypatch)
    compose_once(monkeypatch)
    started, tried = time.monotonic(), itertools.count(1)

    def tell() -> None:
        if (number := next(tried)) % TOLD == 0:
            with capfd.disabled():
                print(f"{number} of {EXAMPLES} after {time.monotonic() - started:.0f} s", flush=True)

    return tell


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, phases=NOT_SHRUNK, suppress_health_check=SLOW, database=None
)
@given(command_lines)
def test_no_overrides_end_in_a_traceback(progress, words):
    progress()

    assert all(problem.code != "not-checked" and "\n" not in str(problem) for problem in said(words))
