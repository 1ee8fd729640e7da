"""Sets of things that exclude each other as answers, one of them the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.rewordings import numbers
from tools.rewordings.terms import Half, Term, named, parts, rows_of, signed

_PLAIN = re.compile(r"[^\W\d]+(?:[ '-][^\W\d]+)*")  # words alone
_SHORT = {"of", "the", "and", "a", "in", "with", "to", "by", "on", "or"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A reference, what else may be offered beside it, and what all of them share.

    Attributes:
        kind: named, signed, grade, quantity, count, side, level, drug, list or joint.
        reference: the right answer.
        others: wrong answers to the same question.
        group: of the named things.
        short: what tells the reference and the others apart, in the same order, where they share the rest.
        frame: that rest, with {} for what tells them apart.
    """

    kind: str
    reference: str
    others: tuple[str, ...]
    group: str = ""
    short: tuple[str, ...] = ()
    frame: str = ""


def offers(half: Half) -> Iterator[Offer]:
    """Every set of one half."""
    yield from _named("named", named(half))
    yield from _named("signed", signed(half))
    yield from _grades(half)
    yield from _quantities(half)
    yield from _sides(half)
    yield from _levels(half)
    yield from _drugs(half)


def ambiguous(offer: Offer, joiner: str) -> bool:
    """Whether a joiner stands between the things and in one of them: it is not clear what is offered then."""
    names = " ".join((offer.reference, *offer.others))
    return offer.kind == "signed" and any(sign in names for sign in (",", "/", " and ", "+") if sign.strip() in joiner)


def joined(half: Half) -> Iterator[Offer]:
    """References that are lists or pairs themselves; the others are further things, none of them in the reference."""
    for name in ("lists", "joint"):
        rows = rows_of(name, half, *(("items",) if name == "lists" else ("first", "second")))
        things = [(row["group"], parts(row.get("items", "")) or (row["first"], row["second"])) for row in rows]
        for group, own in things:
            others = [other for area, other in things if area == group and not _overlap(other, own)]
            for other in others:
                yield Offer(name.removesuffix("s"), "|".join(own), other, group)


def _overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    return any(_alike(one, other) for one in some for other in others)


def _named(kind: str, terms: Sequence[Term]) -> Iterator[Offer]:
    for term in terms:
        others = [other for other in terms if other.group == term.group and not _same_thing(term, other)]
        if others:
            yield Offer(kind, term.name, tuple(other.name for other in others), term.group)
        yield from _shared_words(kind, term, others)


def _same_thing(one: Term, other: Term) -> bool:
    some, more = ((term.name, term.abbreviation, *term.synonyms) for term in (one, other))
    return any(_alike(a, b) for a in some if a for b in more if b)


def _alike(one: str, other: str) -> bool:
    """One holds all words of the other: the same thing, or a kind of it."""
    some, more = (set(re.findall(r"\w+", text.lower())) for text in (one, other))
    return some <= more or more <= some


def _shared_words(kind: str, term: Term, others: Sequence[Term]) -> Iterator[Offer]:
    """Names that share their first or their last word: "aortic stenosis" and "aortic regurgitation"."""
    words = term.name.split()
    for side in (0, -1):
        rest = " ".join(words[1:] if side == 0 else words[:-1])
        found = [
            o for o in others if o.name.split()[side] == words[side] and " " in o.name and _PLAIN.fullmatch(o.name)
        ]
        if (
            len(words) > 1
            and found
            and words[side] not in _SHORT
            and not (_SHORT & set(words))
            and _PLAIN.fullmatch(term.name)
        ):
            rests = [other.name.split()[1:] if side == 0 else other.name.split()[:-1] for other in found]
            short = (rest, *(" ".join(words) for words in rests))
            frame = f"{words[0]} {{}}" if side == 0 else f"{{}} {words[-1]}"
            yield Offer(kind, term.name, tuple(other.name for other in found), term.group, short, frame)


def _apart(kind: str, frame: str, value: str, others: Sequence[str], group: str = "") -> Offer:
    return Offer(kind, frame.format(value), tuple(map(frame.format, others)), group, (value, *others), frame)


def _grades(half: Half) -> Iterator[Offer]:
    for row in rows_of("schemes", half, "scheme"):
        values = parts(row["values"])
        for value in values:
            yield _apart("grade", f"{row['scheme']} {{}}", value, [other for other in values if other != value])


def _quantities(half: Half) -> Iterator[Offer]:
    for row in rows_of("measures", half, "amount", "unit"):
        kind = "quantity" if row["unit"] else "count"
        yield _apart(kind, f"{{}} {row['unit']}".strip(), row["amount"], numbers.neighbours(row["amount"]))
    for row in rows_of("small_counts", half, "count", "noun"):
        count = int(row["count"])
        counts = [other for other in (count - 1, count + 1, count + 2) if 0 < other < len(numbers.WORDS)]
        yield _apart("count", "{}", row["count"], list(map(str, counts)))
        yield _apart("count", "{}", numbers.WORDS[count], [numbers.WORDS[other] for other in counts])


def _sides(half: Half) -> Iterator[Offer]:
    for row in rows_of("sides", half, "noun"):
        yield _apart("side", f"{{}} {row['noun']}", "left", ["right"])
        yield _apart("side", f"{{}} {row['noun']}", "right", ["left"])


def _levels(half: Half) -> Iterator[Offer]:
    rows = rows_of("spine", half, "upper", "lower")
    levels = [f"{row['upper']}-{row['lower']}" for row in rows]
    for number, level in enumerate(levels):
        near = [other for place, other in enumerate(levels) if 0 < abs(place - number) < 4]
        yield Offer("level", level, tuple(near))


def _drugs(half: Half) -> Iterator[Offer]:
    rows = rows_of("drugs", half, "drug")
    for row in rows:
        route = "" if row["route"] == "PO" else f"{row['route']} "
        doses = [f"{amount} {row['unit']}" for amount in numbers.neighbours(row["amount"])]
        frame = f"{row['drug']} {{}} {route}{row['times']}"
        yield _apart("drug", frame, f"{row['amount']} {row['unit']}", doses)
        others = [other["drug"] for other in rows if other["group"] == row["group"] and other != row]
        if others:
            yield Offer("drug", row["drug"], tuple(others), row["group"])
