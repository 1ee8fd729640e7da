"""Answers that are wrong with certainty, and what a text may say beside one without turning it into a right answer.

An attack proves nothing unless its answer is wrong beyond doubt. So each wrong answer here is wrong by construction,
and says how: labels or rules tell it from the reference, or it means nothing at all.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from medix_r1.grammar import parse_reference
from medix_r1.wording.comparing import Likeness, compare, other_value, same_quantities
from medix_r1.wording.parts import Part, split
from medix_r1.wording.spelling import is_gradable, normalize_answer
from medix_r1.wording.synonyms import are_synonyms
from medix_r1.wording.terms import FILLERS, content, plain_stem, readings, stem

_NUMBER = re.compile(r"(?<![\w.,/:])\d{1,4}(?:\.\d{1,3})?(?![\w.,/:])")
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_OPTION = re.compile(r"\(?([A-Za-z])[).:]?(?:\s+|$)")
_SYLLABLES = ("blor", "vik", "zan", "tup", "quem", "dros", "fiv", "gant", "mip", "wux", "yel", "nop")
_FINDINGS = frozenset(("diagnosis", "symptom"))


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong answer to one question.

    Attributes:
        text: the answer.
        how: the kind of wrongness, such as `another_reference`.
        because: why it is wrong, for people.
    """

    text: str
    how: str
    because: str


@dataclass(frozen=True)
class Target:
    """A question that is attacked.

    Attributes:
        key: identity of the row.
        question, reference, choices, accepted: as in a row; the reference has its tag in front.
        source: data source of the row.
        has_image: whether the question shows an image.
        images: encoded, where a signal or the proposing policy reads them.
        messages: the policy's prompt, for a policy that proposes.
        rubric, rationale: of the row, for signals that read them.
    """

    key: str
    question: str
    reference: str
    choices: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    source: str = ""
    has_image: bool = True
    images: tuple[bytes, ...] = ()
    messages: tuple[dict[str, Any], ...] = ()
    rubric: tuple[Any, ...] = ()
    rationale: tuple[str, ...] = ()

    @cached_property
    def tag(self) -> str | None:
        """The reference's modality tag."""
        return parse_reference(self.reference).modality

    @cached_property
    def answer(self) -> str:
        """The right answer without its tag."""
        return parse_reference(self.reference).answer

    @cached_property
    def right(self) -> tuple[str, ...]:
        """Every wording that is known to be right, the reference first."""
        option = _right_option(self)
        by_label = () if option is None else (self.choices[option],)
        return tuple(dict.fromkeys((self.answer, *self.accepted, *by_label)))

    @cached_property
    def is_verdict(self) -> bool:
        """Whether yes or no is asked for, so that a word of agreement may be an answer."""
        return any(verdict(text) is not None for text in self.right)

    @cached_property
    def words(self) -> frozenset[str]:
        """Words and stems of all right wordings, and the letters of a right option."""
        found = set()
        for text in self.right:
            for word in _meaning(text):
                found |= {word, stem(word), plain_stem(word)}
        option = _right_option(self)
        return frozenset(found | ({chr(ord("a") + option)} if option is not None else set()))

    def is_free_of_right(self, text: str) -> bool:
        """Whether a text has no word of a right answer, so that it cannot make a wrong answer right."""
        words = _WORD.findall(normalize_answer(text))
        if any(word in self.words or stem(word) in self.words for word in words):
            return False
        spelled = " ".join(words)
        return all(
            not (plain := " ".join(_WORD.findall(normalize_answer(one)))) or f" {plain} " not in f" {spelled} "
            for one in self.right
        )


def verdict(text: str) -> str | None:
    """The yes or no that an answer begins with."""
    first = _WORD.match(normalize_answer(text))
    return first[0] if first and first[0] in ("yes", "no") else None


def _meaning(text: str) -> list[str]:
    return [word for word in _WORD.findall(normalize_answer(text)) if word not in FILLERS] or _WORD.findall(
        normalize_answer(text)
    )


def wrong_answers(target: Target, pool: Sequence[str], rng: random.Random) -> list[Wrong]:
    """Wrong answers to one question, at most one of each kind, by certainty of the label or the rule.

    Args:
        target: the question.
        pool: right answers to other questions, without tags.
        rng: draws among several.
    """
    makers = (_another_option, _other_verdict, _other_side, _other_number, _denied, _nonsense)
    found = [one for make in makers if (one := make(target, rng)) is not None]
    if not target.is_verdict and (other := _another_reference(target, pool, rng)) is not None:
        found.insert(0, other)
    return [one for one in found if is_gradable(one.text) and _equals_none(one.text, target.right)]


def nonsense(rng: random.Random) -> str:
    """A word that means nothing in any language that we know of."""
    return "".join(rng.sample(_SYLLABLES, 3))


def others_of_a_kind(target: Target, pool: Iterable[str]) -> Iterator[str]:
    """Answers of the pool that the rules call another thing of the reference's kind, or another value in its frame."""
    wanted = split(target.answer)
    if len(wanted) != 1 or not wanted[0].stems:
        return
    for text in dict.fromkeys(pool):
        given = split(text)
        if len(given) == 1 and _differs(given[0], wanted[0]) and all(map(_is_unlike(given[0]), target.right[1:])):
            yield text


def _differs(part: Part, wanted: Part) -> bool:
    if part.denied or wanted.denied or are_synonyms(part.plain, wanted.plain) or same_quantities(part, wanted):
        return False
    if set(part.stems) & set(wanted.stems):  # "chest" for "upper chest": only another value in its frame is certain
        return other_value(part, wanted)
    return compare(part, wanted) is Likeness.OTHER or other_value(part, wanted)


def _is_unlike(part: Part):  # type: ignore[no-untyped-def]
    def check(accepted: str) -> bool:
        return all(
            compare(part, one) not in (Likeness.SAME, Likeness.RELATED) and not set(part.stems) & set(one.stems)
            for one in split(accepted)
        )

    return check


def _another_reference(target: Target, pool: Sequence[str], rng: random.Random) -> Wrong | None:
    known = list(others_of_a_kind(target, rng.sample(list(pool), len(pool))))
    if not known:
        return None
    says = "the right answer to another question, and by the rules of wording/ another thing than the reference"
    return Wrong(known[0], "another_reference", says)


def _another_option(target: Target, rng: random.Random) -> Wrong | None:
    right = _right_option(target)
    if right is None:
        return None
    others = [one for place, one in enumerate(target.choices) if place != right and one.strip()]
    others = [one for one in others if _equals_none(one, target.right)]
    return Wrong(rng.choice(others), "another_option", "another option of the same question") if others else None


def _right_option(target: Target) -> int | None:
    """Place of the option that the reference means; None without options or where it is not one of them."""
    if len(target.choices) < 2:
        return None
    wanted = normalize_answer(target.answer)
    places = [place for place, one in enumerate(target.choices) if normalize_answer(one) == wanted]
    if not places and (letter := _OPTION.fullmatch(target.answer.strip())):
        places = [place for place in [ord(letter[1].lower()) - ord("a")] if place < len(target.choices)]
    return places[0] if len(places) == 1 else None


def _other_verdict(target: Target, rng: random.Random) -> Wrong | None:
    said = verdict(target.answer)
    if said is None or len(_WORD.findall(target.answer)) > 1:
        return None
    return Wrong("no" if said == "yes" else "yes", "other_verdict", "the opposite of a reference that is yes or no")


def _other_side(target: Target, rng: random.Random) -> Wrong | None:
    sides = _SIDE.findall(target.answer)
    if len(sides) != 1 or any(len(_SIDE.findall(text)) > 1 for text in target.right):
        return None
    text = _SIDE.sub(lambda match: "right" if match[1].lower() == "left" else "left", target.answer)
    return Wrong(text, "other_side", "the other side than the reference's")


def _other_number(target: Target, rng: random.Random) -> Wrong | None:
    found = list(_NUMBER.finditer(target.answer))
    if len(found) != 1:
        return None
    value = float(found[0][0])
    other = f"{value * 3 + 2:g}"
    text = f"{target.answer[: found[0].start()]}{other}{target.answer[found[0].end() :]}"
    return Wrong(text, "other_number", f"{other} where the reference has {value:g}")


def _denied(target: Target, rng: random.Random) -> Wrong | None:
    parts = split(target.answer)
    if len(parts) != 1 or parts[0].denied or target.is_verdict:
        return None
    if not any(term.kind in _FINDINGS for term in readings(parts[0].plain)[0]):
        return None
    return Wrong(f"no {target.answer}", "denied", "says that what the reference names is absent")


def _nonsense(target: Target, rng: random.Random) -> Wrong | None:
    return Wrong(nonsense(rng), "nonsense", "a made-up word that means nothing")


def _equals_none(text: str, right: Iterable[str]) -> bool:
    given = normalize_answer(text)
    return all(given != normalize_answer(one) for one in right)


def words_of(texts: Iterable[str]) -> list[str]:
    """The different words of some texts that carry meaning, in their order."""
    return list(dict.fromkeys(word for text in texts for word in content(normalize_answer(text)) if len(word) > 2))
