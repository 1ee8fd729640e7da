"""What calls to a model server cost: counts, tokens, latencies and money."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

_RECENT = 4096  # latencies that percentiles are taken of
_PER_MILLION = 1e-6
_MOST_TOKENS = 10**9  # of one call; more than that, or less than none, is no count


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
        """Money spent so far, by the prices that were given."""
        prompt, completion = self._prices
        return (self.prompt_tokens * prompt + self.completion_tokens * completion) * _PER_MILLION

    def count(self, reply: Mapping[str, Any], latency: float) -> int | None:
        """Count one answer and return its tokens, or None when the server did not say how many they were."""
        self.answers += 1
        self.latencies.append(latency)
        usage = reply.get("usage")
        told = usage if isinstance(usage, Mapping) else {}
        prompt, completion = _tokens(told.get("prompt_tokens")), _tokens(told.get("completion_tokens") or 0)
        if prompt is None or completion is None:  # embeddings have no completion
            self.without_tokens += 1
            return None
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        return prompt + completion

    def statistics(self) -> dict[str, float]:
        """All counters by name; latencies in seconds over the most recent answers, absent before the first."""
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


def _tokens(told: object) -> int | None:
    return told if isinstance(told, int) and 0 <= told <= _MOST_TOKENS else None
