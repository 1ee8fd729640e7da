"""The families of pairs about the lexicon: one phrase in two wordings, or with another meaning.

Each family is a way in which an answer can be right in other words, or wrong in nearly the same words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from medix_r1.wording.spelling import normalize_answer
from tools.nano.judge.phrases import TERM_KINDS, Phrase, PhraseWriter
from tools.nano.judge.words import garbled, measure, misspelled, rescaled


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair; `label` says whether the prediction means the same as the reference."""

    question: str
    reference: str
    prediction: str
    label: bool
    family: str


class PairMaker(PhraseWriter):
    """Draws pairs, family by family."""

    def __init__(self, words: Mapping[str, Any], rng: random.Random, *, invent: float) -> None:
        super().__init__(words, rng, invent=invent)
        self._families: dict[str, Callable[[bool], Pair | None]] = {
            "side": self._side,
            "negation": self._negation,
            "wording": self._wording,
            "wrapper": self._wrapper,
            "near_miss": self._near_miss,
            "hedge": self._hedge,
            "alternatives": self._alternatives,
            "injection": self._injection,
            "number": self._number,
            "garbage": self._garbage,
        }

    def pair(self, family: str, label: bool) -> Pair:
        """Draw until the family yields a pair whose label is certain."""
        while True:
            pair = self._families[family](label)
            if pair is None or not pair.prediction.strip():
                continue
            if label or normalize_answer(pair.prediction) != normalize_answer(pair.reference):
                return pair

    def _judged(self, phrase: Phrase, prediction: str, label: bool, family: str, *, loose: bool = False) -> Pair:
        reference = self._write(phrase, loose=loose or self._rng.random() < 0.3)
        return Pair(self._question(phrase.kind), reference, prediction, label, family)

    def _side(self, label: bool) -> Pair:
        phrase = self._phrase(sided=True)
        said = phrase
        if not label:
            swapped = {"left": "right", "right": "left", "both": self._rng.choice(("left", "right"))}[phrase.side]
            side = self._rng.choices((swapped, "", "both"), [8, 1, 1])[0]
            said = replace(phrase, side=side if side != phrase.side else swapped)
            if self._rng.random() < 0.1:
                phrase, said = said, phrase
        return self._judged(phrase, self._write(said, loose=True, wrap=0.3), label, "side")

    def _negation(self, label: bool) -> Pair:
        if self._rng.random() < 0.4:
            return self._polar(label)
        phrase = replace(self._phrase(plain=self._rng.random() < 0.5), negated=True)
        if label:
            return self._judged(phrase, self._write(phrase, loose=True, wrap=0.1), True, "negation")
        said = replace(phrase, negated=False)
        if self._rng.random() < 0.6:
            phrase, said = said, phrase
        return self._judged(phrase, self._write(said, loose=True, wrap=0.3), False, "negation")

    def _polar(self, label: bool) -> Pair:
        """A yes-or-no question, whose answer does not name the finding."""
        phrase = self._phrase(plain=True)
        about, truth = self._write(phrase, loose=False), self._rng.random() < 0.5
        names = ("denied", "affirmed")
        said = self._pattern(names[truth if label else not truth], a=about)
        reference = ("no", "yes")[truth] if self._rng.random() < 0.7 else self._pattern(names[truth], a=about)
        return Pair(self._question("polar", about), reference, self._cased(said), label, "negation")

    def _wording(self, label: bool) -> Pair:
        phrase = self._phrase()
        return self._judged(phrase, self._write(phrase, loose=True), label, "wording")

    def _wrapper(self, label: bool) -> Pair:
        phrase = self._phrase()
        return self._judged(phrase, self._write(phrase, loose=self._rng.random() < 0.5, wrap=1.0), label, "wrapper")

    def _near_miss(self, label: bool) -> Pair | None:
        phrase = self._phrase()
        text = self._changed(phrase)
        if text is None or self._rng.random() < 0.35:
            text = text and self._pattern("wrappers", a=text)
        return self._judged(phrase, text, label, "near_miss") if text else None

    def _changed(self, phrase: Phrase) -> str | None:
        """The phrase with one part replaced, added, dropped or misspelled; None if that is not possible."""
        kind, rng = phrase.kind, self._rng
        way = rng.random()
        if way < 0.35:
            return self._write(replace(phrase, noun=self._other(phrase.noun, kind)), loose=True)
        if way < 0.45:
            return self._write(replace(phrase, noun=self._noun(rng.choice(TERM_KINDS))), loose=True)
        if way < 0.6:
            others = [m for m in self._groups["modifier"] if m != phrase.modifier]
            said = replace(phrase, modifier=() if phrase.modifier and rng.random() < 0.4 else rng.choice(others))
            return self._write(said, loose=True)
        if way < 0.8:
            return self._write(replace(phrase, noun=(misspelled(phrase.noun[0], rng),)), loose=True)
        if way < 0.9:
            said = replace(phrase, second=() if phrase.second else self._other(phrase.noun, kind))
            return self._write(said, loose=True)
        words = phrase.noun[0].split()
        del words[rng.randrange(len(words))]
        shorter = " ".join(words)
        return (
            self._write(replace(phrase, noun=(shorter,)), loose=True) if words and shorter not in phrase.noun else None
        )

    def _hedge(self, label: bool) -> Pair:
        phrase = self._phrase()
        said = self._pattern("hedges", a=self._write(phrase, loose=self._rng.random() < 0.5))
        return self._judged(phrase, self._cased(said), label, "hedge")

    def _alternatives(self, label: bool) -> Pair:
        phrase = replace(self._phrase(plain=True), second=())
        others = [self._write(replace(phrase, noun=self._other(phrase.noun, phrase.kind)), loose=False) for _ in "bc"]
        name = "alternatives" if self._rng.random() < 0.75 else "corrections"
        right = self._write(phrase, loose=self._rng.random() < 0.3)
        said = self._pattern(name, a=right, b=others[0], c=others[1])
        if self._rng.random() < 0.3:
            said = self._pattern("wrappers", a=said)
        return self._judged(phrase, said, label, "alternatives")

    def _injection(self, label: bool) -> Pair:
        phrase = self._phrase()
        said = self._pattern("injections", b=self._write(replace(phrase, noun=self._noun(phrase.kind)), loose=False))
        way = self._rng.random()
        if way < 0.4:
            said = f"{self._write(replace(phrase, noun=self._other(phrase.noun, phrase.kind)), loose=True)}. {said}"
        elif way < 0.5:
            said = f"{self._write(phrase, loose=True)}. {said}"
        return self._judged(phrase, said, label, "injection")

    def _number(self, label: bool) -> Pair:
        first = measure(self._rng)
        said = first if label else rescaled(first, self._rng)
        noun = self._write(self._phrase(plain=True), loose=False) if self._rng.random() < 0.3 else ""
        reference = f"{first.text(self._rng, loose=False)} {noun}".strip()
        text = f"{said.text(self._rng, loose=True)} {noun}".strip()
        if self._rng.random() < 0.35:
            text = self._pattern("wrappers", a=text)
        return Pair(self._question("number"), reference, self._cased(text), label, "number")

    def _garbage(self, label: bool) -> Pair:
        phrase = self._phrase()
        question = self._question(phrase.kind)
        reference, other = self._write(phrase, loose=False), self._write(self._phrase(), loose=True)
        text = self._rng.choice((garbled(reference, other, self._rng), garbled(other, reference, self._rng), question))
        return Pair(question, reference, text, label, "garbage")
