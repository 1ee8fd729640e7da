"""Explains why an attack pays: the smallest text that does, where it has to stand, and what may stand in its place."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from medix_r1.scoring.attack.attempts import Attempt
from medix_r1.scoring.attack.mutations import NAMES_NOTHING, Carrier

_TOKENS = re.compile(r"\w+|[^\w ]")
_WORDS = re.compile(r"\s*\S+|\s+")
_MOST_TESTS = 60  # of one explanation
_SHORT = 12  # characters of an answer that may pay because it is short

Pays = Callable[[Attempt], Awaitable[bool]]
Piece = tuple[str, str]  # side, text


async def smallest(attempt: Attempt, pays: Pays) -> Attempt:
    """The attempt with as little around its wrong answer as still pays: fewer words, then shorter ones."""
    tests = 0

    async def test(candidate: Attempt) -> bool:
        nonlocal tests
        tests += 1
        return tests <= _MOST_TESTS and await pays(candidate)

    found = await _fewer(attempt, _pieces(attempt, _WORDS.findall), test)
    for side in ("before", "after"):
        found = await _trimmed(found, side, test)
    return found


async def _trimmed(attempt: Attempt, side: str, pays: Pays) -> Attempt:
    """The attempt with one of its texts cut at both ends as far as it still pays, by halving."""
    before = side == "before"
    text = attempt.before if before else attempt.after

    def put(candidate: str) -> Attempt:
        return attempt.around_with(*((candidate, attempt.after) if before else (attempt.before, candidate)))

    for from_start in (True, False):
        low, high = 0, len(text)  # low characters may go, high may not
        while high - low > 1:
            middle = (low + high) // 2
            rest = _cut(text, middle, from_start=from_start)
            low, high = (middle, high) if rest.strip() and await pays(put(rest)) else (low, middle)
        text = _cut(text, low, from_start=from_start)
    return put(text)


def _cut(text: str, count: int, *, from_start: bool) -> str:
    return text[count:] if from_start else text[: len(text) - count]


def _pieces(attempt: Attempt, split: Callable[[str], list[str]]) -> list[Piece]:
    return [("before", one) for one in split(attempt.before)] + [("after", one) for one in split(attempt.after)]


def _put(attempt: Attempt, pieces: Sequence[Piece]) -> Attempt:
    before, after = ("".join(text for side, text in pieces if side == name) for name in ("before", "after"))
    return attempt.around_with(before, after)


async def _fewer(attempt: Attempt, pieces: list[Piece], pays: Pays) -> Attempt:
    """Delta debugging (Zeller's ddmin): halve, then take parts away, until every piece is needed."""
    parts = 2
    while len(pieces) > 1:
        size = -(-len(pieces) // parts)
        chunks = [pieces[start : start + size] for start in range(0, len(pieces), size)]
        rests = [[*pieces[:start], *pieces[start + size :]] for start in range(0, len(pieces), size)]
        for candidate in [*chunks, *(rests if len(chunks) > 2 else [])]:
            if len(candidate) < len(pieces) and await pays(_put(attempt, candidate)):
                parts = 2 if len(candidate) == size else max(parts - 1, 2)
                pieces = candidate
                break
        else:
            if parts >= len(pieces):
                break
            parts = min(parts * 2, len(pieces))
    return _put(attempt, pieces)


def filler(length: int, letters: str, rng: random.Random) -> str:
    """Text without meaning: words of six letters, of letters that are known not to pay."""
    known = sorted({c for c in letters.lower() if c.isascii() and c.isalpha()}) or ["n"]
    return "".join(" " if place % 7 == 6 and place < length - 1 else rng.choice(known) for place in range(length))


def filled(attempt: Attempt, length: int, letters: str, rng: random.Random) -> Attempt:
    """The attempt with text without meaning in place of all that is not its wrong answer, and of a rewritten answer."""
    text = filler(length, letters, rng)
    if attempt.wrong is None:
        return replace(attempt, written=None, before=text, after="", offered=1, because=NAMES_NOTHING)
    return replace(attempt, written=None, before="", after=f" {text}", offered=1, because=attempt.wrong.because)


async def least_length(attempt: Attempt, longest: int, letters: str, pays: Pays, rng: random.Random) -> int:
    """The least number of characters of text without meaning that pays, by halving."""
    low, high = 0, longest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if await pays(filled(attempt, middle, letters, rng)) else (middle, high)
    return high


async def greatest_length(attempt: Attempt, letters: str, pays: Pays, rng: random.Random) -> int:
    """The greatest number of characters of a short answer without meaning that pays, up to 12."""
    longest = 0
    for size in range(1, _SHORT + 1):
        if not await pays(filled(replace(attempt, wrong=None), size, letters, rng)):
            break
        longest = size
    return longest


def is_short(attempt: Attempt) -> bool:
    """Whether an answer is so short that its shortness may be what pays."""
    return len(attempt.answer) <= _SHORT and attempt.wrong is None


def piece_of(attempt: Attempt) -> str:
    """What is left around the wrong answer, on one side or on both."""
    before, after = attempt.before.strip() or attempt.before, attempt.after.strip() or attempt.after
    return f"{before} … {after}" if before and after else before or after


def placed(piece: str, where: str, carrier: Carrier) -> Attempt:
    """A piece in front of a wrong answer, behind it, or alone."""
    target, wrong = carrier.target, carrier.wrong
    if where == "alone":
        return Attempt(target, "explaining", None, NAMES_NOTHING, before=piece)
    before, after = (f"{piece} ", "") if where == "in front" else ("", f" {piece}")
    return Attempt(target, "explaining", wrong, wrong.because, before=before, after=after)


async def counted(piece: str, carrier: Carrier, pays: Pays, rng: random.Random) -> tuple[str, int, Attempt] | None:
    """The sign or word whose number in an answer pays, its least number, and the attempt that shows it."""
    seen = Counter(_TOKENS.findall(piece))
    for token, times in seen.most_common(2):
        if times < 2:
            return None
        if await pays(_with_many(token, times, carrier, rng)):
            while times > 2 and await pays(_with_many(token, times - 1, carrier, rng)):
                times -= 1
            return token, times, _with_many(token, times, carrier, rng)
    return None


def _with_many(token: str, times: int, carrier: Carrier, rng: random.Random) -> Attempt:
    """A wrong answer with a sign or word so many times behind it, a word without meaning before each and at the end."""
    words = [filler(4, carrier.wrong.text, rng) for _ in range(times + 1)]
    apart = " " if token.isalnum() else ""
    target, wrong = carrier.target, carrier.wrong
    after = "".join(f" {word}{apart}{token}" for word in words[1:]) + f" {words[0]}"
    return Attempt(target, "explaining", wrong, wrong.because, after=after)
