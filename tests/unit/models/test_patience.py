"""Whose fault a failure is: the sample's, while other calls succeed, or the server's."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest

from medix_r1.models.addresses import Addresses
from medix_r1.models.patience import Patience, ServerState
from medix_r1.models.replies import Trouble


def test_a_pause_between_two_looks_at_the_clock_blames_no_sample(monkeypatch: pytest.MonkeyPatch):
    """Seen once in a busy test: an outage was taken for one question's fault, which would have been masked."""
    state = ServerState(limit=60.0, unknown_model_limit=60.0)
    patience = Patience(state, Addresses(["http://127.0.0.1:1/v1"]))
    failed: Any = SimpleNamespace(outcome=SimpleNamespace(exception=lambda: Trouble("HTTP 500")), upcoming_sleep=0.0)
    ticks = itertools.count(100)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))  # a second between any two looks

    state.failed(100.0)
    patience.ends(failed)

    assert not patience.sample_is_to_blame
    state.succeeded()
    state.failed(200.0)
    assert patience.sample_is_to_blame
