"""Pairs about the demo's own questions and accepted answers, which the judge has to score in the demo."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medix_r1.demo.rows import labels
from medix_r1.wording.spelling import normalize_answer
from tools.nano.judge.families import Pair
from tools.nano.judge.phrases import Group, PhraseWriter
from tools.nano.judge.words import garbled, invented_word, misspelled


@dataclass(frozen=True, slots=True)
class Fact:
    """One question type of the demo: its wordings, and for each answer the group of accepted wordings."""

    questions: tuple[str, ...]
    answers: tuple[Group, ...]


class OwnPairMaker(PhraseWriter):
    """Draws pairs of the demo's answers, varied with patterns of the lexicon."""

    def __init__(self, words: Mapping[str, Any], rng: random.Random, facts: Sequence[Fact]) -> None:
        super().__init__(words, rng, invent=0.0)
        self._facts = facts

    def pair(self, label: bool) -> Pair | None:
        """Draw a pair; None if a wrong answer turned out to be accepted."""
        rng = self._rng
        fact = rng.choice(self._facts)
        question, group = rng.choice(fact.questions), rng.choice(fact.answers)
        reference = rng.choice(group)
        accepted = accepted_with(reference, fact)
        if label:
            text = rng.choice(sorted(accepted))
            text = self._pattern("wrappers", a=text) if rng.random() < 0.25 else text
            return Pair(question, reference, self._cased(text), True, "own")
        text = self._wrong(fact, reference, accepted)
        if normalize_answer(text) in {normalize_answer(a) for a in accepted}:
            return None
        return Pair(question, reference, self._cased(text), False, "own")

    def _wrong(self, fact: Fact, reference: str, accepted: set[str]) -> str:
        rng, right = self._rng, self._rng.choice(sorted(accepted))
        wrong = [a for group in fact.answers for a in group if a not in accepted]
        far = rng.choice(rng.choice(rng.choice(self._facts).answers))
        far = far if far not in accepted else invented_word(rng)
        near = rng.choice(wrong) if wrong else far
        way = rng.random()
        if way < 0.45:
            return self._pattern("wrappers", a=near) if rng.random() < 0.25 else near
        if way < 0.55:
            return far
        if way < 0.65:
            return opposite(right, rng) if polar_word(right) else self._pattern("negations", a=right)
        if way < 0.72:
            return self._pattern("hedges", a=rng.choice((right, near)))
        if way < 0.82:
            return self._pattern(rng.choice(("alternatives", "corrections")), a=right, b=near, c=far)
        if way < 0.87:
            said = self._pattern("injections", b=near)
            return f"{rng.choice((near, right))}. {said}" if rng.random() < 0.4 else said
        if way < 0.95:
            first, second = rng.sample((right, near, far), 2)
            return garbled(first, second, rng)
        return misspelled(right, rng) if rng.random() < 0.7 else rng.choice(fact.questions)


def polar_word(text: str) -> bool:
    """Whether the answer itself means yes or no."""
    return bool(_POLAR.search(text.casefold()))


def opposite(text: str, rng: random.Random) -> str:
    """The opposite of a yes-or-no answer, as a word or a sentence."""
    text = text.casefold()
    negative = bool(re.search(r"\b(no|not|none|without|absent)\b", text))
    rest = re.sub(r"\b(yes|no|not|none|without|absent|present|is|are|shown)\b", "", text).strip()
    short = "yes" if negative else "no"
    if not rest or rng.random() < 0.4:
        return rng.choice(
            (short, f"{short}, it is" if negative else "no, it is not", "present" if negative else "absent")
        )
    forms = (
        ("{r}", "{r} is present", "there is {r}", "yes, {r}") if negative else ("no {r}", "{r} is absent", "not {r}")
    )
    return rng.choice(forms).format(r=rest)


def accepted_with(reference: str, fact: Fact) -> set[str]:
    """Every wording that is accepted for this reference."""
    return {answer for group in fact.answers if reference in group for answer in group}


_POLAR = re.compile(r"^(yes|no|not|none|nothing|without)\b|\b(is|are) (absent|present|shown)\b")


def demo_facts() -> list[Fact]:
    """The demo's questions and accepted wordings, from labels.yaml."""
    types = labels.load().question_types.values()
    return [Fact(kind.questions, tuple(kind.facts.values())) for kind in types]
