"""Whether the context that a judge is served with holds its prompt and the longest reply that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medix_r1 import prompts
from medix_r1.errors import ConfigError, Problem

_BYTES_OF_A_TOKEN = 8  # more than a tokenizer makes of English on average: nothing is refused that could work
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)([kKmM]?)")  # as vLLM reads it
_UNITS = {"": 1, "k": 1_000, "K": 1 << 10, "m": 1_000_000, "M": 1 << 20}


def context_problems(client: Mapping[str, Any], key: str, context: int | None, cure: str = "") -> Iterator[Problem]:
    """A problem if a server refuses every question, because a prompt and `max_tokens` are more than its context.

    Args:
        client: the settings of one judge; those of a class of the user's own need not say any.
        key: their config key.
        context: tokens; None if unknown.
        cure: what else helps.
    """
    most = client.get("max_tokens")
    if context is None or not isinstance(most, int) or client.get("mode") == "probability":  # which asks for one token
        return
    try:
        template = prompts.load(str(client.get("prompt")))
    except ConfigError:
        template = ""  # reported, or the user's own
    least = len(template.encode()) // _BYTES_OF_A_TOKEN
    if most + least >= context:
        says = (
            f"{most} and a prompt of {least} tokens or more do not fit into the context of {context} tokens that the "
            f"judge is served with, so it would refuse every question; use at most {max(1, context // 2)}{cure}"
        )
        yield Problem(f"{key}.max_tokens", "context-too-short", says)


def context_of(arguments: Sequence[str | int | float]) -> int | None:
    """Tokens of the context that arguments of `vllm serve` ask for; None if they leave it to the model."""
    found, words = None, [str(word) for word in arguments]
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == "--max-model-len":
            value = value if equals else "".join(words[number + 1 : number + 2])
            match = _LENGTH.fullmatch(value)
            found = int(float(match[1]) * _UNITS[match[2]]) if match else None
    return found
