"""What a judge is asked, what it says, and how its reply is read."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from medix_r1.bounded_cache import bounded_cache

# The word must end there: no letter, digit, hyphenated ending or question mark may follow.
_FIRST_WORD = re.compile(r"\s*[*_\"'(\[]{0,4}(YES|NO)(?![^\W_]|[-'’][^\W_]|[*_\"')\]]{0,4}\s?\?)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_OPPOSITE = {"YES": "NO", "NO": "YES"}
_LOOKAHEAD = 2  # words in which the opposite verdict takes the first one back: YES/NO, "yes and no"
_TOKEN_DECORATION = " \t\r\n\"'*._(["  # around a verdict's token; U+2581 and U+0120 are a blank in some vocabularies


@dataclass(frozen=True, slots=True)
class Question:
    """What the judge is asked about. Texts are raw; the prompt neutralises them.

    Attributes:
        choices: the options of a multiple-choice question, in their order.
        images: encoded images (PNG, JPEG, WebP, GIF), for a judge that sees.
    """

    question: str
    reference: str
    prediction: str
    choices: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer.

    Attributes:
        matches: whether it said YES; of a probability, whether that is at least a half.
        reply: what the server sent, for the samples file.
        probability: of YES, in [0, 1]; None when a plain YES or NO was asked for.
    """

    matches: bool
    reply: str
    probability: float | None = None

    @property
    def score(self) -> float:
        """The verdict as a number in [0, 1]."""
        return float(self.matches) if self.probability is None else self.probability


class Judge(Protocol):
    """Anything that gives verdicts."""

    def judge(self, question: Question) -> Awaitable[Verdict]:
        """Return the verdict on one question.

        Raises:
            JudgeUnavailable: no server answers, and waiting has not helped.
            JudgeRejected: this question will never be answered.
        """
        ...

    def statistics(self) -> dict[str, float]:
        """Counts and times so far, by name."""
        ...

    async def aclose(self) -> None:
        """Close connections and files."""
        ...


@bounded_cache  # of short replies, there are two
def parse_verdict(reply: str) -> bool | None:
    """Read YES or NO as the first word after any thinking; everything else is None, not a guess.

    A first word that is taken back at once ("YES/NO", "Yes and no") is no verdict either.
    """
    text = strip_thinking(reply)
    match = _FIRST_WORD.match(text)
    if match is None:
        return None
    word = match[1].upper()
    following = _WORD.findall(text[match.end() : match.end() + 60].upper())[:_LOOKAHEAD]
    return None if _OPPOSITE[word] in following else word == "YES"


def strip_thinking(reply: str) -> str:
    """Cut a leading think block; an unfinished one leaves nothing to read a verdict from."""
    if "</think>" in reply:
        return reply.rsplit("</think>", 1)[1]
    return "" if reply.lstrip().startswith("<think>") else reply


def yes_probability(tokens: Iterable[Mapping[str, Any]]) -> float | None:
    """P(YES) / (P(YES) + P(NO)) from the likeliest first tokens, each with `token` and `logprob`.

    Spellings that differ in case, blanks or quotes are added up. None when neither word is among the tokens.
    """
    mass = {"YES": 0.0, "NO": 0.0}
    for entry in tokens:
        word = str(entry["token"]).strip(_TOKEN_DECORATION + "\u2581\u0120").upper()
        if word in mass:
            mass[word] += math.exp(float(entry["logprob"]))
    total = mass["YES"] + mass["NO"]
    return mass["YES"] / total if 0.0 < total < math.inf else None
