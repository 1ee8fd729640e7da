"""How large the tokens of a group are on the disk (`run.samples.tokens`)."""

from __future__ import annotations

_PROMPT = 4  # bytes of a token id; a group has its prompt once
_REPLY = 4 + 1 + 4 + 4 + 4  # token id, mask, reward, old log-prob, vLLM's log-prob
_ENTRY = 2500  # bytes of a reply's entry in the file, without what grows with its length
_POSITIONS = 4 * 2  # four numbers for mRoPE, in two bytes below 32,768 tokens


def most_bytes(prompt: int, reply: int, replies: int) -> int:
    """Bytes of a group whose prompt and replies have so many tokens; a model without mRoPE takes less."""
    return _PROMPT * prompt + replies * (_ENTRY + _REPLY * reply + _POSITIONS * (prompt + reply))
