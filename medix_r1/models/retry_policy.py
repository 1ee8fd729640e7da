"""How long a call is repeated, and who is to blame when it is given up: the servers, or this one sample.

The limit holds for the servers together, not for each call in turn: when nothing but failures came back for `patience`
seconds, every call that waits is given up at once, however many stand in line.
"""

from __future__ import annotations

import time

from tenacity import RetryCallState, wait_random_exponential

from medix_r1.models.http_errors import Trouble
from medix_r1.models.server_state import Addresses, ServerState

_BLAMED_AFTER = 6  # failures of one call, each with a success of other calls since the last one
_BACK_OFF = wait_random_exponential(multiplier=0.5, max=10.0)
_FAIL_OVER = 0.01  # seconds: another server works


class RetryPolicy:
    """How often one call is made again; created when it has failed for the first time.

    Args:
        state, addresses: what all calls of the connection know.
    """

    def __init__(self, state: ServerState, addresses: Addresses) -> None:
        self.attempts = 0
        self._state, self._addresses = state, addresses
        self._first_failure: float | None = None
        self._successes_at_failure = state.successes
        self._blame = 0

    def wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt: jittered back-off, none when another server works, never too early."""
        now = time.monotonic()
        if len(self._addresses.all) > 1 and self._addresses.works(now):
            return _FAIL_OVER
        return self._addresses.pause(now) + _BACK_OFF(state)

    def ends(self, state: RetryCallState) -> bool:
        """Whether the call is given up before the wait that is due."""
        trouble = state.outcome.exception() if state.outcome else None
        assert isinstance(trouble, Trouble)
        now = time.monotonic()
        self.attempts += 1
        if self._first_failure is None:
            self._first_failure = now
        elif not trouble.busy and self._state.successes > self._successes_at_failure:
            self._blame += 1
        self._successes_at_failure = self._state.successes
        sleep, limit = state.upcoming_sleep, self._state.limit
        return (
            self._blame >= _BLAMED_AFTER
            or (trouble.unknown_model and self._state.unknown_for() + sleep > self._state.unknown_model_limit)
            or self._state.down_for() + sleep > limit
            or now - self._first_failure + sleep > limit
        )

    @property
    def sample_is_to_blame(self) -> bool:
        """Whether the servers answered other calls while this one went on failing."""
        return self._first_failure is not None and not self._state.down_at(self._first_failure)
