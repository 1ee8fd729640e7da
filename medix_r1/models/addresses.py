"""Which of several servers of one model a call goes to: the one with the fewest calls in flight that works.

A server that fails answers fast and so would draw all calls to itself; it therefore gets one call at a time until one
succeeds. A server that named a time to come back (`Retry-After`) gets none before that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_PROBE_AFTER = 2.0  # seconds until a server that failed is tried again while others work


@dataclass(slots=True)
class Address:
    """One server and what is known of it; times are of the monotonic clock."""

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
        """The address for the next call, or None while every server asked to be left alone."""
        if len(self.all) == 1:
            return self.all[0] if self.all[0].paused_until <= now else None
        awake = [address for address in self.all if address.paused_until <= now]
        working = [address for address in awake if address.healthy]
        probes = [a for a in awake if not a.healthy and a.probe_at <= now and not a.in_flight]
        if working and probes:
            return probes[0]
        return min(working or awake, key=lambda address: address.in_flight, default=None)

    def works(self, now: float) -> bool:
        """Whether any server is known to work, so that a failed call can go there without waiting."""
        return any(address.healthy and address.paused_until <= now for address in self.all)

    def pause(self, now: float) -> float:
        """Seconds until the first server may be asked again; 0 when one may be asked now."""
        return max(0.0, min(address.paused_until for address in self.all) - now)

    def succeeded(self, address: Address) -> None:
        """Note an answer."""
        address.healthy = True

    def failed(self, address: Address, now: float, retry_after: float | None) -> None:
        """Note a failure, and the time to come back if the server named one (seconds from now)."""
        address.healthy, address.probe_at = False, now + _PROBE_AFTER
        if retry_after is not None:
            address.paused_until = max(address.paused_until, now + retry_after)
