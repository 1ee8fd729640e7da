"""Types of the judge (question, verdict, interface), and the parsing of its replies."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from medix_r1.bounded_cache import bounded_cache

# YES or NO as a whole word: no letter, digit, hyphenated ending or question mark may follow.
_FIRST_WORD = re.compile(r"\s*[*_\"'(\[]{0,4}(YES|NO)(?![^\W_]|[-'’][^\W_]|[*_\"')\]]{0,4}\s?\?)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_OPPOSITE = {"YES": "NO", "NO": "YES"}
_LOOKAHEAD = 2  # following words in which the opposite verdict makes the reply ambiguous: "YES/NO", "yes and no"
_TOKEN_DECORATION = " \t\r\n\"'*._(["  # stripped from tokens, like U+2581 and U+0120, the blanks of some vocabularies


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the judge. Texts are raw; the prompt neutralises them.

    Attributes:
        choices: the options of a multiple-choice question, in their order.
        images: encoded images (PNG, JPEG, WebP, GIF), for a vision-language judge.
        prompt: name of a file in `medix_r1/prompts/` to ask with; None: the judge's own.
    """

    question: str
    reference: str
    prediction: str
    choices: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer.

    Attributes:
        matches: YES; in probability mode, whether the probability is at least 0.5.
        reply: the text of the reply, for the samples file.
        probability: P(YES) in [0, 1]; None in binary mode.
    """

    matches: bool
    reply: str
    probability: float | None = None

    @property
    def score(self) -> float:
        """The probability in [0, 1]; in binary mode 0 or 1."""
        return float(self.matches) if self.probability is None else self.probability


class Judge(Protocol):
    """The interface of a judge."""

    def judge(self, question: Question) -> Awaitable[Verdict]:
        """Return the verdict on one question.

        Raises:
            JudgeUnavailable: no server answered within the retry policy's time.
            JudgeRejected: the servers refuse this question, or no reply to it can be read.
        """
        ...

    def statistics(self) -> dict[str, float]:
        """Name → count, or seconds for `latency_*`."""
        ...

    async def aclose(self) -> None:
        """Close connections and files."""
        ...


@bounded_cache  # replies are nearly always YES or NO, so this cache hits
def parse_verdict(reply: str) -> bool | None:
    """Parse YES or NO as the first word after any thinking; None for every other reply.

    An ambiguous reply ("YES/NO", "Yes and no") is None, too.
    """
    text = strip_thinking(reply)
    match = _FIRST_WORD.match(text)
    if match is None:
        return None
    word = match[1].upper()
    following = _WORD.findall(text[match.end() : match.end() + 60].upper())[:_LOOKAHEAD]
    return None if _OPPOSITE[word] in following else word == "YES"


def strip_thinking(reply: str) -> str:
    """Remove a leading think block; an unfinished one leaves the empty text."""
    if "</think>" in reply:
        return reply.rsplit("</think>", 1)[1]
    return "" if reply.lstrip().startswith("<think>") else reply


def yes_probability(tokens: Iterable[Mapping[str, Any]]) -> float | None:
    """P(YES) / (P(YES) + P(NO)) from the top first tokens, each with `token` and `logprob`.

    Tokens that differ only in case, blanks or quotes are added up. None when neither word is among the tokens.
    """
    mass = {"YES": 0.0, "NO": 0.0}
    for entry in tokens:
        word = str(entry["token"]).strip(_TOKEN_DECORATION + "\u2581\u0120").upper()
        if word in mass:
            mass[word] += math.exp(float(entry["logprob"]))
    total = mass["YES"] + mass["NO"]
    return mass["YES"] / total if 0.0 < total < math.inf else None
