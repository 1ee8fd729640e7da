"""Client-side rate limit in requests and tokens a minute, by aiolimiter's leaky bucket."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

_BURST = 1.0  # bucket size, in seconds' worth of requests
_TOKEN_BURST = 6.0  # the same for tokens; large enough for one long prompt
_TOKENS_PER_CHARACTER = 0.4  # estimate before the first reply; medical text has about 0.25


class RateLimit:
    """Delays calls until they fit the limits. Every attempt counts, as servers count failed ones too.

    Args:
        requests_per_minute, tokens_per_minute: None for no limit.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._requests = None if requests_per_minute is None else _bucket(requests_per_minute, _BURST)
        self._tokens = None if tokens_per_minute is None else _bucket(tokens_per_minute, _TOKEN_BURST)
        self._per_character = _TOKENS_PER_CHARACTER
        self._observed = False
        self._queue = asyncio.Lock()  # first come, first served: aiolimiter alone lets small calls starve large ones
        self._waits: set[asyncio.Timeout] = set()

    async def acquire(self, characters: int, max_tokens: int) -> bool:
        """Wait until a call fits the limits.

        Args:
            characters: length of the prompt.
            max_tokens: maximum tokens of the reply.

        Returns:
            True when it fits; False when `cancel_waits` ended the wait.
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
            # a call larger than the bucket would wait for ever, so it takes the whole bucket
            tokens = min(characters * self._per_character + max_tokens, self._tokens.max_rate)
            async with self._queue:
                await self._tokens.acquire(tokens)

    def cancel_waits(self) -> None:
        """End all waits in `acquire` now."""
        waits, self._waits = self._waits, set()
        for wait in waits:
            wait.reschedule(asyncio.get_running_loop().time())

    def observe(self, characters: int, tokens: int | None) -> None:
        """Update the estimate of tokens per character (a moving average) by a call's real count; None is ignored."""
        if tokens is not None and characters:
            seen = tokens / characters
            self._per_character = seen if not self._observed else 0.95 * self._per_character + 0.05 * seen
            self._observed = True


def _bucket(per_minute: float, burst: float) -> AsyncLimiter:
    size = max(1.0, per_minute / 60.0 * burst)
    return AsyncLimiter(size, 60.0 * size / per_minute)
