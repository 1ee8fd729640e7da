"""What a reply that reaches the length limit earns: `reward.overlong`, applied after the signals are added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medix_r1.errors import Problem

CHOICES = ("reward", "zero", "mask", "soft")


def soft_punishment(tokens: int, *, limit: int, cache: int) -> float:
    """DAPO's soft overlong punishment, in [-1, 0] (arXiv 2503.14476, section 3.4).

    A reply of |y| tokens, with L_max = `limit` and L_cache = `cache`, gets

    - 0 up to L_max - L_cache tokens,
    - (L_max - L_cache - |y|) / L_cache above that,
    - -1 from L_max on.

    Args:
        tokens: length of the reply, its end token included.
        limit: tokens at which generation stops (`data.max_response_length`).
        cache: tokens before the limit over which the punishment grows; above 0, below `limit`.
    """
    return -min(1.0, max(0, tokens - (limit - cache)) / cache)


@dataclass(frozen=True, slots=True)
class Overlong:
    """The setting `reward.overlong`.

    Attributes:
        choice: `reward` (as any reply), `zero`, `mask`, or `soft`, which adds `soft_punishment` to every total.
        cache: tokens, with `soft` alone.
        limit: `data.max_response_length`, with `soft` alone.
    """

    choice: str
    cache: int = 0
    limit: int = 0

    @classmethod
    def of(cls, settings: Any, limit: int) -> Overlong | None:
        """The setting of a `reward` node whose `overlong_problems` are none; None changes no reward."""
        if settings["overlong"] == "reward":
            return None
        return cls(str(settings["overlong"]), int(settings.get("overlong_cache") or 0), limit)

    def reward(self, total: float | None, *, cut: bool, tokens: int) -> float | None:
        """The reward of a reply: in [0, 1], with `soft` in [-1, 1]; None masks it.

        Args:
            total: the weighted sum of the signals; None for a sample that is masked anyway.
            cut: generation ended at the length limit.
            tokens: length of the reply.
        """
        if total is None:
            return None
        if self.choice == "soft":
            return total + soft_punishment(tokens, limit=self.limit, cache=self.cache)
        return {"reward": total, "zero": 0.0, "mask": None}[self.choice] if cut else total


def overlong_problems(node: Mapping[str, Any]) -> list[Problem]:
    """Problems of `overlong` and `overlong_cache` in a `reward` node, and of verl's keys for the same."""
    key, choice, cache = "reward.overlong_cache", node["overlong"], node.get("overlong_cache")
    problems = []
    if choice not in CHOICES:
        text = f"'{choice}' is none of {', '.join(CHOICES)}"
        problems.append(Problem("reward.overlong", "not-a-choice", text))
    elif choice != "soft" and cache is not None:
        problems.append(Problem(key, "not-read", f"reward.overlong={choice} does not use it; set it to null"))
    elif choice == "soft" and (isinstance(cache, bool) or not isinstance(cache, int) or cache < 1):
        text = f"{cache!r} is no number of tokens before the limit over which the punishment grows; use at least 1"
        problems.append(Problem(key, "out-of-range", text))
    if node.get("reward_kwargs"):
        text = (
            "nothing reads verl's keys; its overlong buffer is reward.overlong=soft reward.overlong_cache=TOKENS here"
        )
        problems.append(Problem("reward.reward_kwargs", "not-read", text))
    return problems


def cache_problems(node: Mapping[str, Any], limit: Any) -> list[Problem]:
    """A problem if the cache leaves no reply unpunished.

    Args:
        node: a `reward` node.
        limit: `data.max_response_length`.
    """
    cache = node.get("overlong_cache")
    if node["overlong"] != "soft" or not (isinstance(cache, int) and isinstance(limit, int)) or cache < limit:
        return []
    text = (
        f"{cache} tokens are not less than data.max_response_length={limit}, so every reply would be punished; "
        f"for example {max(1, limit // 5)}"
    )
    return [Problem("reward.overlong_cache", "out-of-range", text)]
