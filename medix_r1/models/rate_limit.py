"""How fast a server may be asked: requests and tokens a minute, by aiolimiter's leaky bucket."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

_BURST = 1.0  # seconds' worth of requests that may go out at once
_TOKEN_BURST = 6.0  # the same for tokens; a tenth of a minute, so that one long prompt fits
_TOKENS_PER_CHARACTER = 0.4  # until the server has told; medical text has about 0.25


class RateLimit:
    """Holds calls back until they fit the limits. Each attempt counts, failed ones too, as servers count them.

    Args:
        requests_per_minute, tokens_per_minute: None for no limit.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._requests = None if requests_per_minute is None else _bucket(requests_per_minute, _BURST)
        self._tokens = None if tokens_per_minute is None else _bucket(tokens_per_minute, _TOKEN_BURST)
        self._per_character = _TOKENS_PER_CHARACTER
        self._told = False
        self._queue = asyncio.Lock()  # in turn: aiolimiter lets small amounts overtake large ones for ever
        self._waits: set[asyncio.Timeout] = set()

    async def turn(self, characters: int, max_tokens: int) -> bool:
        """Wait for the turn of a call with so many characters of prompt and at most so many tokens of reply.

        Returns:
            Whether it came; it did not when `call_back` ended the wait.
        """
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                await self._fit(characters, max_tokens)
        except TimeoutError:
            return False
        finally:
            self._waits.discard(wait)
        return True

    async def _fit(self, characters: int, max_tokens: int) -> None:
        if self._requests is not None:
            await self._requests.acquire()
        if self._tokens is not None:
            # a call larger than the bucket passes when the bucket is empty, or it would wait for ever
            tokens = min(characters * self._per_character + max_tokens, self._tokens.max_rate)
            async with self._queue:
                await self._tokens.acquire(tokens)

    def call_back(self) -> None:
        """End all waits for a turn now."""
        waits, self._waits = self._waits, set()
        for wait in waits:
            wait.reschedule(asyncio.get_running_loop().time())

    def learn(self, characters: int, tokens: int | None) -> None:
        """Take in how many tokens a call really had, for the estimates to come."""
        if tokens is not None and characters:
            seen = tokens / characters
            self._per_character = seen if not self._told else 0.95 * self._per_character + 0.05 * seen
            self._told = True


def _bucket(per_minute: float, burst: float) -> AsyncLimiter:
    size = max(1.0, per_minute / 60.0 * burst)
    return AsyncLimiter(size, 60.0 * size / per_minute)
