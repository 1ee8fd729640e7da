"""Types of the judge: question, verdict, interface; and the probability that a judge's first token gives.

reply_text.py parses its replies.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from medix_r1.models.reading.reply_text import parse_verdict, strip_thinking
from medix_r1.models.server_state import is_gauge

__all__ = [
    "Judge",
    "OpenQuestion",
    "Question",
    "Verdict",
    "Writer",
    "added_up",
    "parse_verdict",
    "strip_thinking",
    "yes_probability",
]

_TOKEN_DECORATION = " \t\r\n\"'*._(["  # stripped from tokens, like U+2581 and U+0120, the blanks of some vocabularies


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the judge. Texts are raw; the prompt neutralises them.

    Attributes:
        choices: the options of a multiple-choice question, in their order.
        images: encoded images (PNG, JPEG, WebP, GIF), for a vision-language judge.
        prompt: name of a file in `medix_r1/prompts/` to ask with; None: the judge's own.
        text: the whole question as it is sent, neutralised by whoever made it; None: the prompt, filled in.
    """

    question: str
    reference: str
    prediction: str
    choices: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    prompt: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question whose answer is a text, such as a list of verdicts or of criteria.

    Attributes:
        text: of the question as it is sent, neutralised by whoever made it.
        max_tokens: of the answer.
        reads: whether an answer can be read; it is asked again when not.
        wanted: what is asked for, as an error says it.
        sent: the raw texts inside, which no error may repeat.
        attempts: calls until an unreadable answer is given up; None: as many as for a verdict.
    """

    text: str
    max_tokens: int
    reads: Callable[[str], bool]
    wanted: str
    sent: tuple[str, ...] = ()
    attempts: int | None = None


@runtime_checkable
class Writer(Protocol):
    """A judge that also answers `OpenQuestion`s; votes and other compositions of judges do not."""

    def write(self, question: OpenQuestion) -> Awaitable[str]:
        """Return the text of the answer.

        Raises:
            JudgeUnavailable, JudgeRejected: as of `Judge.judge`.
        """
        ...


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
        """Name → count, seconds for `latency_*`, or a running estimate for `estimated_*`."""
        ...

    async def aclose(self) -> None:
        """Close connections and files."""
        ...


def added_up(statistics: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Counters of several judges together: sums, and the largest of each gauge such as a latency."""
    total: dict[str, float] = {}
    for numbers in statistics:
        for name, value in numbers.items():
            total[name] = max(total.get(name, 0.0), value) if is_gauge(name) else total.get(name, 0.0) + value
    return total


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
