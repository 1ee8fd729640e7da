"""Retry policy: how long a call is retried, and whether the servers or the sample are at fault when it is given up.

The time limit is shared: when all calls failed for `patience` seconds, all waiting calls are given up at once.
"""

from __future__ import annotations

import time

from tenacity import RetryCallState, wait_random_exponential

from medix_r1.models.http_errors import RetryableError
from medix_r1.models.server_state import Addresses, ServerState

_REJECT_AFTER = 6  # failures of one call, with successes of other calls before each
_BACKOFF = wait_random_exponential(multiplier=0.5, max=10.0)
_FAILOVER = 0.01  # seconds


class RetryPolicy:
    """The retries of one call; created after its first failure.

    Args:
        state, addresses: shared by all calls of the connection.
    """

    def __init__(self, state: ServerState, addresses: Addresses) -> None:
        self.attempts = 0
        self._state, self._addresses = state, addresses
        self._first_failure: float | None = None
        self._successes_at_failure = state.successes
        self._own_failures = 0

    def wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt: failover to another server, or jittered backoff after any `Retry-After`."""
        now = time.monotonic()
        if len(self._addresses.all) > 1 and self._addresses.works(now):
            return _FAILOVER
        return self._addresses.pause(now) + _BACKOFF(state)

    def stop(self, state: RetryCallState) -> bool:
        """Whether to give the call up now instead of waiting for the next attempt."""
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, RetryableError)
        now = time.monotonic()
        self.attempts += 1
        if self._first_failure is None:
            self._first_failure = now
        elif not error.busy and self._state.successes > self._successes_at_failure:
            self._own_failures += 1
        self._successes_at_failure = self._state.successes
        sleep, limit = state.upcoming_sleep, self._state.limit
        return (
            self._own_failures >= _REJECT_AFTER
            or (error.unknown_model and self._state.unknown_for() + sleep > self._state.unknown_model_limit)
            or self._state.down_for() + sleep > limit
            or now - self._first_failure + sleep > limit
        )

    @property
    def sample_is_to_blame(self) -> bool:
        """Whether the servers answered other calls after this one first failed."""
        return self._first_failure is not None and not self._state.down_at(self._first_failure)
