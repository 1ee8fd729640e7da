"""A ranking by a judge: its letters, its prompt, what its reply says, and what a place is worth."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from medix_r1 import prompts

_LINE = "{answers}"
_NEUTRAL = re.compile(r"[`*_\"'“”]")
_CHAIN = re.compile(r"(?<![A-Za-z])[A-Z]{1,2}(?:\s*[>=]\s*[A-Z]{1,2})+(?![A-Za-z])")


def letters(count: int) -> list[str]:
    """Names of so many answers: A to Z, then AA, AB and so on."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [*alphabet, *map("".join, itertools.product(alphabet, repeat=2))][:count]


def ranking_prompt(
    template: str, *, question: str | None, options: str | None, reference: str, answers: Sequence[str], max_chars: int
) -> str:
    """The question to the judge: every inserted text is neutralised, each answer on a line of its own.

    Args:
        template: text with `{question}`, `{options}`, `{reference}`, `{answers}` and `{example}`.
        question: that was asked, or None to leave its line out; `options` likewise.
        options: of a multiple-choice question.
        reference: the right answer.
        answers: in the order in which the judge sees them.
        max_chars: longer texts are cut, each by itself.
    """
    names = letters(len(answers))
    fields = {f"answer_{name.lower()}": text for name, text in zip(names, answers, strict=True)}
    lines = "\n".join(f"<answer_{name}> {{answer_{name.lower()}}} </answer_{name}>" for name in names)
    last = names[-1] if len(names) < 3 else f"{names[0]} = {names[2]}"
    return prompts.fill(
        template.replace(_LINE, lines),
        max_chars=max_chars,
        question=question,
        options=options,
        reference=reference,
        example=f"{names[1]} > {last}" if len(names) > 2 else f"{names[1]} > {names[0]}",
        **fields,
    )


def read_ranking(reply: str, count: int) -> list[int] | None:
    """The tier of each answer in a judge's reply, 0 for the best, equal for equals; None for what is no whole ranking.

    Args:
        reply: its text, without thinking.
        count: answers that it was shown. Each has to occur once, in one chain of `>` and `=`.
    """
    chains = {tuple(_tiers(found)) for found in _CHAIN.findall(_NEUTRAL.sub("", reply))}
    wanted = letters(count)
    whole = [chain for chain in chains if sorted(name for tier in chain for name in tier) == sorted(wanted)]
    if len(whole) != 1:
        return None
    return [next(place for place, tier in enumerate(whole[0]) if name in tier) for name in wanted]


def _tiers(chain: str) -> list[tuple[str, ...]]:
    return [tuple(sorted(re.split(r"\s*=\s*", tier.strip()))) for tier in chain.split(">")]


def values(tiers: Sequence[int]) -> list[float]:
    """What each place is worth: the share of the others that stand below, equal ones counting half.

    Args:
        tiers: 0 for the best; at least two.
    """
    others = len(tiers) - 1
    return [(sum(o > t for o in tiers) + 0.5 * (sum(o == t for o in tiers) - 1)) / others for t in tiers]


def position_bias(tiers: Sequence[int]) -> float:
    """How far the ranking follows the order in which the answers were shown: 1 wholly, -1 reversed, 0 not at all.

    It is Kendall's tau over all pairs, in which equal ones count 0. Where the order was drawn by chance its mean is 0.

    Args:
        tiers: in the order shown; at least two.
    """
    pairs = list(itertools.combinations(tiers, 2))
    return sum((later > first) - (later < first) for first, later in pairs) / len(pairs)
