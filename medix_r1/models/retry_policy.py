"""How long a call is repeated, and who is to blame when it is given up: the servers, or this one sample.

The limit holds for the servers together, not for each call in turn: when nothing but failures came back for `patience`
seconds, every call that waits is given up at once, however many stand in line.
"""

from __future__ import annotations

import time

from tenacity import RetryCallState, wait_random_exponential

from medix_r1.models.addresses import Addresses
from medix_r1.models.http_errors import Trouble

_BLAMED_AFTER = 6  # failures of one call, each with a success of other calls since the last one
_BACK_OFF = wait_random_exponential(multiplier=0.5, max=10.0)
_FAIL_OVER = 0.01  # seconds: another server works


class ServerState:
    """What all calls of a connection know about its servers.

    Args:
        limit: seconds of nothing but failures until they count as lost.
        unknown_model_limit: the same of nothing but answers that the model is unknown.
    """

    def __init__(self, limit: float, unknown_model_limit: float) -> None:
        self.limit, self.unknown_model_limit = limit, unknown_model_limit
        self.successes = 0
        self._down_since: float | None = None
        self._unknown_since: float | None = None
        self._lost: tuple[float, str] | None = None

    def succeeded(self) -> None:
        """A server answered."""
        self.successes += 1
        self._down_since = self._unknown_since = self._lost = None

    def failed(self, now: float, *, unknown_model: bool = False) -> None:
        """A call failed; `unknown_model` when a server answered that it does not know the model."""
        self._down_since = now if self._down_since is None else self._down_since
        if not unknown_model:
            self._unknown_since = None  # a server that starts: what it says next has a time of its own
        elif self._unknown_since is None:
            self._unknown_since = now

    def lost(self, message: str) -> None:
        """The servers are given up."""
        self._lost = (time.monotonic(), message)

    def lost_since(self, started: float) -> str | None:
        """Why the servers were given up after `started`; None when they were not. A later call tries again."""
        return self._lost[1] if self._lost is not None and self._lost[0] >= started else None

    def down_for(self) -> float:
        """Seconds since the first failure after the last success."""
        return 0.0 if self._down_since is None else time.monotonic() - self._down_since

    def unknown_for(self) -> float:
        """Seconds since the first answer of those that all said that the model is unknown."""
        return 0.0 if self._unknown_since is None else time.monotonic() - self._unknown_since

    def down_at(self, moment: float) -> bool:
        """Whether nothing has succeeded since `moment`, by which a call had failed.

        Two moments are compared, not two durations: those are read one after the other, and a process that is
        suspended in between would blame a sample for an outage.
        """
        return self._down_since is not None and self._down_since <= moment


class Patience:
    """The patience with one call."""

    def __init__(self, state: ServerState, addresses: Addresses) -> None:
        self.started, self.attempts = time.monotonic(), 0
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
