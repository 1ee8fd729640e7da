"""Whether a failure is the sample's fault (other calls succeed meanwhile) or the servers'."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest

from medix_r1.models.http_errors import RetryableError
from medix_r1.models.retry_policy import RetryPolicy
from medix_r1.models.server_state import Addresses, ServerState


def failed(trouble: RetryableError) -> Any:
    """tenacity's state after a failed attempt."""
    return SimpleNamespace(outcome=SimpleNamespace(exception=lambda: trouble), upcoming_sleep=0.0)


def test_a_pause_between_two_looks_at_the_clock_blames_no_sample(monkeypatch: pytest.MonkeyPatch):
    """A suspended process must not mistake an outage for the sample's fault, which would mask the sample."""
    state = ServerState(limit=60.0, unknown_model_limit=60.0)
    policy = RetryPolicy(state, Addresses(["http://127.0.0.1:1/v1"]))
    ticks = itertools.count(100)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))  # a second between any two looks

    state.failed(100.0)
    policy.stop(failed(RetryableError("HTTP 500")))

    assert not policy.sample_is_to_blame
    state.succeeded()
    state.failed(200.0)
    assert policy.sample_is_to_blame


def test_an_unknown_model_is_counted_from_the_first_such_answer(monkeypatch: pytest.MonkeyPatch):
    state = ServerState(limit=600.0, unknown_model_limit=30.0)
    policy = RetryPolicy(state, Addresses(["http://127.0.0.1:1/v1"]))
    refused, unknown = RetryableError("refused"), RetryableError("no model `m`", unknown_model=True)

    def ended(now: float, trouble: RetryableError) -> bool:
        monkeypatch.setattr(time, "monotonic", lambda: now)
        state.failed(now, unknown_model=trouble.unknown_model)
        return policy.stop(failed(trouble))

    outcomes = [(0.0, refused), (40.0, unknown), (69.0, unknown), (70.0, refused), (75.0, unknown), (104.0, unknown)]
    assert not any(ended(*outcome) for outcome in outcomes)
    assert ended(106.0, unknown)
    assert not ended(107.0, refused)
    assert ended(601.0, unknown)
