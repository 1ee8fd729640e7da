"""State of the servers of one model: health, outages, and counters of their calls.

Load balancing picks the server with the fewest calls in flight. A failing server answers fast and would attract all
calls, so it gets one call at a time until one succeeds. A server that sent `Retry-After` gets none before that time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_PROBE_AFTER = 2.0  # seconds until a failed server is probed while others work
_RECENT = 4096  # latencies kept for percentiles
_PER_MILLION = 1e-6
_MAX_TOKENS = 10**9  # of one call; a server that reports more, or a negative number, is not believed


@dataclass(slots=True)
class Address:
    """One server and its state; times are of `time.monotonic`."""

    url: str
    in_flight: int = 0
    healthy: bool = True
    probe_at: float = 0.0
    paused_until: float = 0.0


class Addresses:
    """The servers of one model.

    Args:
        urls: base addresses, each ending in `/v1`.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.all = tuple(Address(url.rstrip("/")) for url in urls)

    def pick(self, now: float) -> Address | None:
        """The address for the next call, or None while all servers are paused by `Retry-After`."""
        if len(self.all) == 1:
            return self.all[0] if self.all[0].paused_until <= now else None
        awake = [address for address in self.all if address.paused_until <= now]
        working = [address for address in awake if address.healthy]
        probes = [a for a in awake if not a.healthy and a.probe_at <= now and not a.in_flight]
        if working and probes:
            return probes[0]
        return min(working or awake, key=lambda address: address.in_flight, default=None)

    def works(self, now: float) -> bool:
        """Whether any server is healthy and not paused, so that a failed call can be retried there without backoff."""
        return any(address.healthy and address.paused_until <= now for address in self.all)

    def pause(self, now: float) -> float:
        """Seconds until the first pause ends; 0 if a server is not paused."""
        return max(0.0, min(address.paused_until for address in self.all) - now)

    def succeeded(self, address: Address) -> None:
        """Record an answer."""
        address.healthy = True

    def failed(self, address: Address, now: float, retry_after: float | None) -> None:
        """Record a failure, and the server's `Retry-After` in seconds from now."""
        address.healthy, address.probe_at = False, now + _PROBE_AFTER
        if retry_after is not None:
            address.paused_until = max(address.paused_until, now + retry_after)


class ServerState:
    """The state of all servers together, shared by all calls of a connection.

    Args:
        limit: seconds in which all calls fail until the servers are given up.
        unknown_model_limit: seconds in which all calls are answered with an unknown model until the same.
    """

    def __init__(self, limit: float, unknown_model_limit: float) -> None:
        self.limit, self.unknown_model_limit = limit, unknown_model_limit
        self.successes = 0
        self._down_since: float | None = None
        self._unknown_since: float | None = None
        self._lost: tuple[float, str] | None = None

    def succeeded(self) -> None:
        """Record an answer."""
        self.successes += 1
        self._down_since = self._unknown_since = self._lost = None

    def failed(self, now: float, *, unknown_model: bool = False) -> None:
        """Record a failed call; `unknown_model` if the server answered that it does not know the model."""
        self._down_since = now if self._down_since is None else self._down_since
        if not unknown_model:
            self._unknown_since = None  # the server may be restarting, so the unknown-model limit starts anew
        elif self._unknown_since is None:
            self._unknown_since = now

    def lost(self, message: str) -> None:
        """Record that the servers are given up, and why."""
        self._lost = (time.monotonic(), message)

    def lost_since(self, started: float) -> str | None:
        """Why the servers were given up after `started` (monotonic time); None if they were not."""
        return self._lost[1] if self._lost is not None and self._lost[0] >= started else None

    def down_for(self) -> float:
        """Seconds since the first failure after the last success; 0 without one."""
        return 0.0 if self._down_since is None else time.monotonic() - self._down_since

    def unknown_for(self) -> float:
        """Seconds since the first of the latest uninterrupted unknown-model answers; 0 without one."""
        return 0.0 if self._unknown_since is None else time.monotonic() - self._unknown_since

    def down_at(self, moment: float) -> bool:
        """Whether no call has succeeded since `moment`, when a call failed.

        It compares times and not durations. Two durations are read one after the other, and if the process is suspended
        in between, an outage looks like the sample's fault.
        """
        return self._down_since is not None and self._down_since <= moment


class Usage:
    """Counters of one client.

    Args:
        price_prompt, price_completion: money per million tokens, in any one currency; None counts no cost.
    """

    def __init__(self, price_prompt: float | None = None, price_completion: float | None = None) -> None:
        self.calls = self.answers = self.retries = self.failures = 0
        self.prompt_tokens = self.completion_tokens = self.without_tokens = 0
        self.latencies: deque[float] = deque(maxlen=_RECENT)
        self._prices = (price_prompt or 0.0, price_completion or 0.0)

    @property
    def cost(self) -> float:
        """Money spent so far."""
        prompt, completion = self._prices
        return (self.prompt_tokens * prompt + self.completion_tokens * completion) * _PER_MILLION

    def count(self, reply: Mapping[str, Any], latency: float) -> int | None:
        """Count one answer; `latency` is in seconds. Returns its tokens, or None if the reply does not report them."""
        self.answers += 1
        self.latencies.append(latency)
        usage = reply.get("usage")
        reported = usage if isinstance(usage, Mapping) else {}
        prompt = _tokens(reported.get("prompt_tokens"))
        completion = _tokens(reported.get("completion_tokens") or 0)  # embeddings have no completion
        if prompt is None or completion is None:
            self.without_tokens += 1
            return None
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        return prompt + completion

    def statistics(self) -> dict[str, float]:
        """All counters by name, and latencies in seconds over the most recent answers (absent before the first)."""
        numbers = {
            "calls": float(self.calls),
            "answers": float(self.answers),
            "retries": float(self.retries),
            "failures": float(self.failures),
            "prompt_tokens": float(self.prompt_tokens),
            "completion_tokens": float(self.completion_tokens),
            "cost": self.cost,
        }
        if self.latencies:
            p50, p95 = np.percentile(self.latencies, (50, 95))
            numbers |= {"latency_p50": float(p50), "latency_p95": float(p95), "latency_max": max(self.latencies)}
        return numbers


def _tokens(reported: object) -> int | None:
    return reported if isinstance(reported, int) and 0 <= reported <= _MAX_TOKENS else None


def is_gauge(name: str) -> bool:
    """Whether a statistic is a gauge, no counter: the last part of its name starts with `latency` or `estimated_`."""
    return name.rpartition("/")[2].startswith(("latency", "estimated_"))
