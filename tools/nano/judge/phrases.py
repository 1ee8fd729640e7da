"""Phrases for the judge's pairs: the meaning of an answer, and the many ways to word it.

The words come from one half of lexicon.yaml; some nouns are made up (words.py).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medix_r1.host.yaml_text import parse_yaml
from tools.nano.judge.words import invented_word

Group = tuple[str, ...]  # synonyms
TERM_KINDS = ("paired", "anatomy", "finding", "method", "view")
SIDES = ("left", "right", "both")


@dataclass(frozen=True, slots=True)
class Phrase:
    """The meaning of an answer, independent of its wording."""

    noun: Group
    kind: str
    side: str = ""
    modifier: Group = ()
    second: Group = ()
    number: str = ""
    negated: bool = False


class PhraseWriter:
    """Draws phrases from one half of the lexicon and words them."""

    def __init__(self, words: Mapping[str, Any], rng: random.Random, *, invent: float) -> None:
        """Prepare drawing.

        Args:
            words: `train` or `heldout` of the lexicon.
            rng: the only source of randomness.
            invent: probability that a noun is made up, so that the model learns to compare unseen words.
        """
        self._rng, self._words, self._invent = rng, words, invent
        self._groups = {kind: [tuple(g.split(" | ")) for g in words[kind]] for kind in (*TERM_KINDS, "modifier")}

    def _noun(self, kind: str) -> Group:
        if self._rng.random() < self._invent:
            words = [invented_word(self._rng) for _ in range(self._rng.choice((1, 1, 2)))]
            if self._rng.random() < 0.3:
                words[-1] = self._rng.choice(self._groups[kind])[0].split()[-1]
            return (" ".join(words),)
        return self._rng.choice(self._groups[kind])

    def _phrase(self, *, sided: bool = False, plain: bool = False) -> Phrase:
        kind = "paired" if sided else self._rng.choice(TERM_KINDS)
        phrase = Phrase(self._noun(kind), kind)
        if sided or (kind == "paired" and self._rng.random() < 0.6):
            phrase = replace(phrase, side=self._rng.choices(SIDES, [4, 4, 1])[0])
        if plain:
            return phrase
        if kind in ("anatomy", "finding", "paired") and self._rng.random() < 0.25:
            phrase = replace(phrase, modifier=self._rng.choice(self._groups["modifier"]))
        elif not phrase.side and self._rng.random() < 0.12:
            phrase = replace(phrase, second=self._other(phrase.noun, kind))
        return phrase

    def _other(self, noun: Group, kind: str) -> Group:
        while (other := self._noun(kind)) == noun:
            pass
        return other

    def _write(self, phrase: Phrase, *, loose: bool, wrap: float = 0.0) -> str:
        """One wording of the phrase; `loose` varies synonyms, articles, plural and order."""
        rng = self._rng
        text = rng.choice(phrase.noun) if loose else phrase.noun[0]
        if phrase.second:
            parts = [text, rng.choice(phrase.second) if loose else phrase.second[0]]
            if loose:
                rng.shuffle(parts)
            text = " and ".join(parts)
        elif loose and rng.random() < 0.15 and text[-1].isalpha() and text[-1] not in "sy":
            text += "s"
        if phrase.modifier:
            text = f"{rng.choice(phrase.modifier) if loose else phrase.modifier[0]} {text}"
        text = self._with_side(text, phrase.side, loose=loose)
        if loose and rng.random() < 0.35 and not text.startswith("both"):
            text = f"{rng.choice(('the', 'the', 'a', 'an'))} {text}"
        if phrase.negated:
            text = self._pattern("negations", a=text) if loose else f"no {text}"
        if rng.random() < wrap:
            text = self._pattern("wrappers", a=text)
        return self._cased(text) if loose else text

    def _with_side(self, text: str, side: str, *, loose: bool) -> str:
        if not side:
            return text
        if side == "both":
            return f"{self._rng.choice(('both', 'bilateral')) if loose else 'both'} {text}"
        if not loose or self._rng.random() < 0.5:
            return f"{side} {text}"
        forms = (
            "{s}-sided {t}",
            "{t} on the {s}",
            "{t}, {s}",
            "{t} of the {s} side",
            "{t} on the {s} side",
            "{t} ({s})",
        )
        return self._rng.choice(forms).format(s=side, t=text)

    def _cased(self, text: str) -> str:
        return self._rng.choices((text, text.upper(), text.capitalize(), text.title()), [8, 1, 3, 1])[0]

    def _pattern(self, name: str, **values: str) -> str:
        return fill_pattern(self._rng.choice(self._words[name]), self._rng, **values)

    def _question(self, kind: str, about: str = "") -> str:
        return fill_pattern(self._rng.choice(self._words["questions"][kind]), self._rng, a=about)


_CHOICE = re.compile(r"\[([^\]]*)\]")


def fill_pattern(pattern: str, rng: random.Random, **values: str) -> str:
    """Resolve `[one|other]` choices at random, then fill the placeholders."""
    return _CHOICE.sub(lambda m: rng.choice(m[1].split("|")), pattern).format(**values)


def lexicon() -> dict[str, dict[str, Any]]:
    """The two halves of lexicon.yaml, `train` and `heldout`."""
    text = Path(__file__).with_name("lexicon.yaml").read_text(encoding="utf-8")
    halves: dict[str, dict[str, Any]] = parse_yaml(text)
    return halves
