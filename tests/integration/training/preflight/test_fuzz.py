"""No command line whatever ends in a traceback: 12 random ones here, 1,000 in tests/acceptance/test_fuzz.py."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.composed_once import compose_once
from tests.support.fuzz import command_lines
from tests.support.machine import good_machine
from tests.support.no_traceback import said

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example]
NOT_SHRUNK = [Phase.explicit, Phase.generate]  # each example composes a config, and shrinking takes hundreds


@pytest.fixture
def machine(monkeypatch):
    good_machine(monkeypatch)
    compose_once(monkeypatch)


@settings(
    max_examples=12, deadline=None, derandomize=True, phases=NOT_SHRUNK, suppress_health_check=SLOW, database=None
)
@given(command_lines)
def test_no_overrides_end_in_a_traceback(machine, words):
    assert all(problem.code != "not-checked" and "\n" not in str(problem) for problem in said(words))
