"""Kinds of attacks that pay: attacks are one kind when the same thing pays for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from medix_r1.scoring.attack.attempts import Attempt
from medix_r1.scoring.attack.journal import Outcome
from medix_r1.scoring.attack.shapes import members, of_shape

MOST_EXAMPLES = 5
_SPREAD = r"[\s\S]*?"  # between the words of a piece other words may stand


@dataclass(frozen=True, slots=True)
class Example:
    """One attack that paid."""

    attempt: Attempt
    outcome: Outcome
    parts: frozenset[str]


@dataclass
class Kind:
    """Attacks that pay for one reason.

    Attributes:
        name: what pays, for people.
        group: the mutation that found it, such as `instructions` or `plain`.
        parts: parts of the reward that pay.
        piece: the smallest text that pays; None where it is no text.
        place: where it has to stand: `in front`, `behind`, `anywhere`, `alone`, `as it is`.
        characters: the class of characters that all pay, of a piece of one character.
        shape: of the piece, where other letters in its shape pay as well.
        question: whether it is the question that pays when it is said again.
        found_by: mutations that came upon it.
        examples: up to 5 attacks, the shortest explained one first.
        tried, paid: different questions that it was tried on, and those where it paid.
        dues, rewards: what the replies that paid may earn, and what they did.
    """

    name: str
    group: str
    parts: frozenset[str]
    piece: str | None = None
    place: str = "as it is"
    characters: str | None = None
    shape: str | None = None
    question: bool = False
    found_by: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    tried: int = 0
    paid: int = 0
    dues: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of the questions on which it pays."""
        return self.paid / self.tried if self.tried else 0.0

    @property
    def due(self) -> float:
        """Mean of what the replies may earn."""
        return sum(self.dues) / len(self.dues) if self.dues else 0.0

    @property
    def earned(self) -> float:
        """Mean of what they earned."""
        return sum(self.rewards) / len(self.rewards) if self.rewards else 0.0

    def add(self, example: Example, found_by: str) -> None:
        """Add an attack that paid."""
        if found_by not in self.found_by:
            self.found_by.append(found_by)
        if len(self.examples) < MOST_EXAMPLES and all(
            one.attempt.reply != example.attempt.reply for one in self.examples
        ):
            self.examples.append(example)

    def without(self, attempt: Attempt) -> Attempt | None:
        """The attempt without what pays for this kind; None where it has nothing of it."""
        if self.piece is None and not self.question:
            return None
        take = self._taker(attempt.target.question)
        before, after = take(attempt.before), take(attempt.after)
        written = take(attempt.written) if attempt.written is not None else None
        if (before, after, written) == (attempt.before, attempt.after, attempt.written):
            return None
        return replace(attempt, before=before, after=after, written=written)

    def _taker(self, question: str) -> Callable[[str], str]:
        if self.question:
            return lambda text: text.replace(question, " ").replace(question.rstrip("?"), " ")
        if self.shape is not None:
            pattern = of_shape(self.shape)
            return lambda text: pattern.sub(" ", text)
        if self.characters is not None:
            belongs = members(self.characters)
            return lambda text: "".join("" if belongs(character) else character for character in text)
        pieces = [
            re.compile(_SPREAD.join(map(re.escape, one.split())), re.IGNORECASE)
            for one in self._pieces()
            if one.split()
        ]
        blanks = [one for one in self._pieces() if not one.split()]

        def take(text: str) -> str:
            for one in blanks:
                text = text.replace(one, " ")
            for pattern in pieces:
                while found := pattern.search(text):
                    first = found[0].split()[0]
                    text = text[: found.start()] + text[found.start() + len(first) :]
            return text

        return take

    def _pieces(self) -> list[str]:
        return (self.piece or "").split(" … ")
