"""Right answers in other words."""

from __future__ import annotations

import datetime
import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.rewordings import numbers
from tools.rewordings.case import Case, some
from tools.rewordings.offered import offers
from tools.rewordings.respelled import RESPELLED
from tools.rewordings.templates import Form, fill, forms, frames, load, writings
from tools.rewordings.terms import Half, capital, named, parts, rows_of, signed

FINDINGS = (*load("shared")["negatives"], "skin", "eye", "ear nose throat", "gynecology", "symptom")
_MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July", "August", "September")
_MONTHS += ("October", "November", "December")
_LETTERS = {"dev": "ABCDE", "test": "FGHJK", "later": "LMNP"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A reference and what the frames of a kind may say of it."""

    reference: str
    fields: Mapping[str, str]
    what: str = "named"


def rewordings(half: Half) -> Iterator[Case]:
    """Every right rewording of one half; far more than are used."""
    slots = _slots(half)
    for form in forms(half):
        for kind, found in slots.items():
            for frame in frames(form, kind):
                for slot in some(found, frame):
                    yield _right(kind, slot.reference, fill(frame, dict(slot.fields)), slot.what, form)
        yield from _equivalent(half, form)
        yield from _lists(half, form)
        yield from _units(half, form)
    yield from _spelled(half)


def _right(kind: str, reference: str, answer: str, what: str, form: Form = "shared") -> Case:
    return Case(kind, capital(reference), answer, 1, "right", what, form)


def _slots(half: Half) -> dict[str, list[Slot]]:
    terms = named(half)
    everything = [*terms, *signed(half)]
    negatives = load("shared")["negatives"]
    plain = [Slot(term.name, {"x": term.name}, "named") for term in terms]
    plain += [Slot(term.name, {"x": term.name}, "signed") for term in signed(half)]
    synonyms = [Slot(t.name, {"x": t.name, "y": other}) for t in terms for other in t.synonyms]
    findings = [Slot(t.name, {"x": t.name}) for t in terms if t.group in FINDINGS]
    return {
        **dict.fromkeys(("lead_in", "label", "option", "wrapped", "tail"), plain),
        "abbreviation": [Slot(t.name, {"x": t.name, "a": t.abbreviation}) for t in everything if t.abbreviation],
        **dict.fromkeys(("synonym", "synonym_behind_a_comma", "synonym_behind_a_slash"), synonyms),
        "detail": [Slot(t.name, {"x": t.name, "d": detail}) for t in terms for detail in t.details],
        "yes_in_front": findings,
        "further_negative": [
            Slot(t.name, {"x": t.name, "n": absent}) for t in terms for absent in negatives.get(t.group, ())
        ],
        "not_another": [
            Slot(offer.reference, {"x": offer.reference, "o": offer.others[0]})
            for offer in offers(half)
            if offer.kind == "named" and not offer.frame
        ],
        "letter": [Slot(letter, {"x": letter}, "letter") for letter in _LETTERS[half]],
        "yes_no": [
            Slot(row["answer"], {"x": row["answer"], "about": row["about"]}, "yes or no")
            for row in rows_of("yes_no", half, "about")
        ],
        "inverted": [
            Slot(f"{row['adjective']} {row['noun']}", row) for row in rows_of("adjectives", half, "adjective", "noun")
        ],
        **_quantities(half),
        **_drugs(half),
        **_grades(half),
        **_levels(half),
        "date": [_date(row["date"]) for row in rows_of("dates", half, "date")],
    }


def _quantities(half: Half) -> dict[str, list[Slot]]:
    found: dict[str, list[Slot]] = {kind: [] for kind in ("measure", "decimals", "thousands", "blood_pressure")}
    converted, comma = [], []
    for row in rows_of("measures", half, "amount", "unit"):
        amount, unit = row["amount"], row["unit"]
        reference = f"{amount} {unit}".strip()
        slot = Slot(reference, {"amount": amount, "unit": unit}, "quantity")
        if "/" in amount:
            upper, lower = amount.split("/")
            found["blood_pressure"].append(
                Slot(reference, {**slot.fields, "systolic": upper, "diastolic": lower}, "quantity")
            )
            continue
        if unit:
            found["measure"].append(Slot(reference, {**slot.fields, "spelled": unit}, "quantity"))
        if row["what"] in ("length", "mass", "volume"):
            found["decimals"].append(Slot(reference, {"padded": numbers.padded(amount), "unit": unit}, "quantity"))
        if "." in amount:
            comma.append(Slot(reference, {"comma": amount.replace(".", ","), "unit": unit}, "quantity"))
        if amount.isdecimal() and int(amount) >= 1000:
            signs = {"grouped": ",", "spaced": " ", "thin": "\u202f"}
            fields = {name: f"{numbers.grouped(amount, sign)} {unit}".strip() for name, sign in signs.items()}
            found["thousands"].append(Slot(reference, fields, "quantity"))
        if other := numbers.converted(amount, unit):
            converted.append(Slot(reference, {**slot.fields, "converted": " ".join(other)}, "quantity"))
    found |= dict.fromkeys(("other_unit", "other_unit_behind_a_comma"), converted)
    counts = [
        Slot(reference, {"count": row["count"], "word": word, "noun": row["noun"]}, "count")
        for row in rows_of("small_counts", half, "count", "noun")
        for word in [numbers.WORDS[int(row["count"])]]
        for reference in (row["count"], word)
    ]
    sizes = rows_of("sizes", half, "first", "second", "third", "unit")
    return {
        **found,
        "decimal_comma": comma,
        "count": counts,
        "size": [_size(row["first"], row["second"], unit=row["unit"]) for row in sizes if not row["third"]],
        "size3": [_size(row["first"], row["second"], row["third"], unit=row["unit"]) for row in sizes if row["third"]],
    }


def _size(*amounts: str, unit: str) -> Slot:
    fields = {"unit": unit}
    for name, amount in zip("abc", amounts, strict=False):
        other = numbers.converted(amount, unit)
        assert other is not None
        fields |= {name: amount, f"c{name}": other[0], "cunit": other[1]}
    return Slot(f"{' x '.join(amounts)} {unit}", fields, "quantity")


def _units(half: Half, form: Form) -> Iterator[Case]:
    """The other wordings of a unit."""
    for row in rows_of("measures", half, "amount", "unit"):
        for spelled in load(form)["units"].get(row["unit"], ()):
            reference = f"{row['amount']} {row['unit']}"
            yield _right("unit", reference, f"{row['amount']} {spelled}", "quantity", form)


def _drugs(half: Half) -> dict[str, list[Slot]]:
    found: dict[str, list[Slot]] = {"drug": [], "drug_times": [], "per_day": []}
    for row in rows_of("drugs", half, "drug"):
        route = "" if row["route"] == "PO" else f"{row['route']} "
        fields = {**row, "when": route + row["times"]}
        reference = f"{row['drug']} {row['amount']} {row['unit']} {fields['when']}"
        found["drug"].append(Slot(reference, fields, "drug"))
        for form in forms(half):
            for often in load(form)["times"][row["times"]]:
                found["drug_times"].append(Slot(reference, {**fields, "often": route + often}, "drug"))
        if row["times"] == "once daily" and not route:
            daily = f"{row['drug']} {row['amount']} {row['unit']} daily"
            found["per_day"].append(Slot(daily, fields, "drug"))
    return found


def _grades(half: Half) -> dict[str, list[Slot]]:
    found: dict[str, list[Slot]] = {"grade": [], "grade_numeral": []}
    for row in rows_of("schemes", half, "scheme"):
        name = row["scheme"]
        for value in parts(row["values"]):
            fields = {"name": name, "v": value}
            found["grade"] += [
                Slot(f"{name} {value}", {**fields, "label": label.format(v=value)}, "grade")
                for label in parts(row["labels"])
            ]
            other = numbers.other_numeral(value)
            if other and (row["numerals"] == "roman" or re.search(r"grade|stage|class|type$", name)):
                roman = value if row["numerals"] == "roman" else other
                sign = numbers.UNICODE_ROMANS[numbers.ROMANS.index(roman)]
                found["grade_numeral"].append(Slot(f"{name} {value}", {**fields, "w": other, "unicode": sign}, "grade"))
    return found


def _levels(half: Half) -> dict[str, list[Slot]]:
    found: dict[str, list[Slot]] = {"level": [], "short_level": [], "vertebra": []}
    regions = {"C": "cervical", "T": "thoracic", "L": "lumbar", "S": "sacral"}
    for row in rows_of("spine", half, "upper", "lower"):
        fields = {**row, "number": row["lower"][1:]}
        slot = Slot(f"{row['upper']}-{row['lower']}", fields, "level")
        found["level"].append(slot)
        if row["upper"][0] == row["lower"][0]:
            found["short_level"].append(slot)
        name = row["upper"]
        ordinal = numbers.ORDINALS[int(name[1:])]
        found["vertebra"].append(Slot(name, {"x": name, "ordinal": ordinal, "region": regions[name[0]]}, "level"))
    return found


def _date(text: str) -> Slot:
    day = datetime.date.fromisoformat(text)
    fields = {"day": str(day.day), "year": str(day.year), "month": _MONTHS[day.month - 1]}
    fields |= {"mon": fields["month"][:3], "mm": f"{day.month:02}", "dd": f"{day.day:02}"}
    return Slot(text, {**fields, "th": numbers.ordinal_ending(day.day)}, "date")


def _equivalent(half: Half, form: Form) -> Iterator[Case]:
    """Frames that say the same: the shared ones are references of all."""
    fields = _equivalent_fields(half)
    for kind, shared in load("shared")["equivalent"].items():
        for number, classes in enumerate(shared):
            answers = load(form)["equivalent"][kind][number]
            every = list(itertools.product(fields[kind], classes))
            for answer in answers:
                for one, reference in some(every, answer):
                    if reference != answer:
                        yield _right(kind, fill(reference, one), fill(answer, one), kind, form)


def _equivalent_fields(half: Half) -> dict[str, list[dict[str, str]]]:
    absent = [{"a": row["first"], "b": row["second"]} for row in rows_of("absent", half, "first", "second")]
    sides = rows_of("sides", half, "noun")
    return {
        "negation": absent,
        "negated_pair": absent,
        "bound": [
            {"x": f"{row['amount']} {row['unit']}"}
            for row in rows_of("measures", half, "amount", "unit")
            if row["what"] in ("length", "mass", "volume", "rate", "share", "temperature")
        ],
        "range": [dict(row) for row in rows_of("ranges", half, "low", "high", "unit")],
        "side": [{"side": side, "noun": row["noun"]} for row in sides for side in ("left", "right")],
        "both_sides": [{"plural": row["plural"]} for row in sides],
        "joint": [{"a": row["first"], "b": row["second"]} for row in rows_of("joint", half, "first", "second")],
    }


def _lists(half: Half, form: Form) -> Iterator[Case]:
    """The same things in another order, or joined in another way."""
    usual = writings("shared", "lists")[:4]
    for row in rows_of("lists", half, "items"):
        things = list(parts(row["items"]))
        shuffled = _shuffled(things)
        for written, asked in itertools.product(writings(form, "lists"), usual):
            reference = asked.write(things)
            if asked != written:
                yield _right("list_joiners", reference, written.write(things), "list", form)
            yield _right("list_order", reference, written.write(shuffled), "list", form)


def _shuffled(things: Sequence[str]) -> list[str]:
    others = [list(order) for order in itertools.permutations(things) if list(order) != list(things)]
    return random.Random(" ".join(things)).choice(others)


def _spelled(half: Half) -> Iterator[Case]:
    """Other spellings: those of the lists, and those that follow from rules."""
    for term in signed(half):
        for other in term.synonyms:
            yield _right("signed_name", term.name, other, "signed")
    for row in rows_of("normal", half, "term"):
        for other in parts(row["spellings"]):
            yield _right("normal", row["term"], other, "normal")
    for term in [*named(half), *signed(half)]:
        for kind, respell in RESPELLED.items():
            for other in respell(term.name):
                if other != term.name:
                    yield _right(kind, term.name, other, "named")
