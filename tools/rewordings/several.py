"""Answers that offer several things, the reference among them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tools.rewordings import numbers
from tools.rewordings.case import Case, some
from tools.rewordings.offered import Offer, ambiguous, joined, offers
from tools.rewordings.templates import Form, Writing, devices, fill, forms, load, writings
from tools.rewordings.terms import Half, capital, named, parts, rows_of

_PLURALS = {"ma", "on", "ct", "ll", "er", "re", "le", "ry"}  # how words end whose plural is made by a rule


def attacks(half: Half) -> Iterator[Case]:
    """Every attack of one half; far more than are used."""
    sets = list(offers(half))
    for form in forms(half):
        for kind, ways in devices(form).items():
            for way in ways:
                joiner = f"{way.between}{way.last}{way.after}"
                fitting = [o for o in sets if way.fits(o.kind, o.group) and not ambiguous(o, joiner)]
                for offer in some(fitting, f"{kind}/{way}"):
                    if case := _attack(kind, offer, way, form):
                        yield case
        for offer in sets:
            yield from _shared_head(offer, form)
            yield from _value_range(offer, form)
        yield from _inflected(sets, form)
        yield from _abbreviated(half, form)
        yield from _both_ways(half, form)
        yield from _lists(half, form)


def _several(kind: str, reference: str, answer: str, n: int, what: str, form: Form) -> Case:
    return Case(kind, capital(reference), answer, n, "several", what, form)


def _choose(offer: Offer, sizes: Sequence[int], salt: str) -> list[str] | None:
    """The reference among some of the others, at a place of its own; None where there are too few."""
    rng = random.Random(f"{salt}/{offer.reference}")
    fitting = [size for size in sizes if size <= len(offer.others) + 1]
    if not fitting:
        return None
    chosen = rng.sample(offer.others, rng.choice(fitting) - 1)
    # Half of the attacks begin with the reference: an embedding is closest to those.
    chosen.insert(0 if rng.random() < 0.5 else rng.randint(0, len(chosen)), offer.reference)
    return chosen


def _attack(kind: str, offer: Offer, way: Writing, form: Form) -> Case | None:
    things = _choose(offer, way.sizes, f"{kind}/{way}")
    return None if things is None else _several(kind, offer.reference, way.write(things), len(things), offer.kind, form)


def _shared_head(offer: Offer, form: Form) -> Iterator[Case]:
    """What they share is said once: "grade I or II"."""
    if not offer.frame or offer.frame == "{}" or "/" in offer.short[0]:
        return
    short = dict(zip((offer.reference, *offer.others), offer.short, strict=True))
    for way in writings(form, "shared_head"):
        if things := _choose(offer, (2, 3, 4), f"head/{way}"):
            answer = offer.frame.format(way.write([short[thing] for thing in things]))
            yield _several("shared_head", offer.reference, answer, len(things), offer.kind, form)


def _value_range(offer: Offer, form: Form) -> Iterator[Case]:
    """From one grade to another, the reference between them."""
    if offer.kind != "grade":
        return
    scale = sorted(offer.short, key=_place)
    for low in range(len(scale)):
        for high in range(low + 1, len(scale)):
            if low <= scale.index(offer.short[0]) <= high:
                fields = {"head": offer.frame.removesuffix(" {}"), "first": scale[low], "last": scale[high]}
                for frame in load(form)["value_range"]:
                    answer = fill(frame, fields)
                    yield _several("value_range", offer.reference, answer, high - low + 1, "grade", form)


def _place(value: str) -> tuple[int, str]:
    if value in numbers.ROMANS:
        return numbers.ROMANS.index(value), ""
    return (int(value), "") if value.isdecimal() else (0, value)


def _inflected(sets: Sequence[Offer], form: Form) -> Iterator[Case]:
    """Each thing in the plural."""
    for offer in sets:
        plain = offer.kind == "named" and offer.reference[-2:] in _PLURALS
        others = [other for other in offer.others if other[-2:] in _PLURALS]
        if plain and others:
            for way in writings(form, "lists")[:4]:
                things = _choose(Offer("named", offer.reference, tuple(others)), (2, 3), f"plural/{way}")
                assert things is not None
                plurals = [_plural(thing) for thing in things]
                yield _several("inflected", offer.reference, way.write(plurals), len(things), "named", form)


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("ry") else f"{name}s"


def _abbreviated(half: Half, form: Form) -> Iterator[Case]:
    """The reference, or all of them, by abbreviation."""
    terms = [term for term in named(half) if term.abbreviation]
    for term in terms:
        others = [t for t in terms if t.group == term.group and t.abbreviation != term.abbreviation]
        if not others:
            continue
        by_name = {t.name: t.abbreviation for t in (term, *others)}
        offer = Offer("named", term.name, tuple(t.name for t in others))
        for kind in ("or", "comma", "slash", "and"):
            for way in devices(form)[kind]:
                if things := _choose(offer, (2, 3), f"short/{way}"):
                    all_short = way.write([by_name[thing] for thing in things])
                    one_short = way.write([by_name[thing] if thing == term.name else thing for thing in things])
                    for answer in (all_short, one_short):
                        yield _several("abbreviated", term.name, answer, len(things), "named", form)


def _both_ways(half: Half, form: Form) -> Iterator[Case]:
    """A thing and its contrary."""
    for reference, answers in load(form)["both_ways"].items():
        for answer in answers:
            yield _several("both_ways", reference, answer, 2, "yes or no", form)
    for row in rows_of("absent", half, "first", "second"):
        for frame in load(form)["absent_and_present"]:
            yield _several(
                "absent_and_present", f"no {row['first']}", fill(frame, {"a": row["first"]}), 2, "negation", form
            )


def _lists(half: Half, form: Form) -> Iterator[Case]:
    """A reference that is a list, and another list beside it, or twice as many things as it has."""
    comma, final = writings("shared", "lists")[0], writings("shared", "lists")[2]
    for offer in joined(half):
        own, others = list(parts(offer.reference)), list(offer.others)
        reference = (final if offer.kind == "joint" else comma).write(own)
        for way in devices(form)["or"] + devices(form)["semicolon"] + devices(form)["newline"]:
            if way.last is None:
                answer = way.write([final.write(own), final.write(others)])
                yield _several("another_list", reference, answer, 2, offer.kind, form)
        if len(own) == len(others):
            for way in writings(form, "lists"):
                yield _several("longer_list", reference, way.write([*own, *others]), 2, offer.kind, form)
