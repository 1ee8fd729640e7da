"""Detects answers that offer several things where the reference has one, in the hope that one of them is right.

English only. These rules take credit away, so they act only where the form is certain; the rest is the judge's. Answer
and reference are split into parts in the same way, whatever their order. A part is accounted for when it says the
reference in other words, qualifies it, or denies something. A part that is left over is a rival when it has another
value in the frame of the reference ("grade 3" for "grade 2"), is another thing of the same kind ("spleen" for "liver"),
or is offered by a plain choice ("or").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence, Set
from dataclasses import replace

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.comparing import abbreviates
from medix_r1.wording.contrasts import contrasts
from medix_r1.wording.offered import Offer
from medix_r1.wording.one_part import RANGE, hyphenated, run_together, spanned
from medix_r1.wording.parts import Joint, Part, split
from medix_r1.wording.rewritten import GLUED
from medix_r1.wording.spelling import normalize_answer
from medix_r1.wording.terms import LISTS

# Fast path: an answer of letters, digits, blanks and hyphens with none of these words has one part.
_PLAIN = re.compile(r"(?:[A-Za-z0-9 '-]|(?<=[0-9 ])%)+")
_JOINING = frozenset(LISTS["joining"])
_AND = r" ?(?:and|&|\+|/) ?(?:the )?"
_TWO_SIDES = re.compile(
    rf"\b(?:both (?:the )?)?(?:left{_AND}right|right{_AND}left)\b(?:[ -]sided?)?|\b(?:on )?both sides\b", re.IGNORECASE
)
_BOTH_WAYS = re.compile(
    r"\b(?:with(?:/| ?or | ?and )without|present,? (?:or|and) (?:it(?: is|'s) |is )?absent|"
    r"absent,? (?:or|and) (?:it(?: is|'s) |is )?present|positive or negative|negative or positive)\b"
)
_SIDES = frozenset(("left", "right", "bilateral", "bilaterally", "both", "side", "sided"))
_VERDICTS = frozenset(("yes", "no"))
_MOST_PARTS = 40  # parts that are looked at: each is compared with those before it


@bounded_cache
def alternatives(answer: str, reference: str) -> tuple[str, ...]:
    """The things that an answer offers beside the reference, or as a choice; empty where that is not certain."""
    if values := contrasts(answer, reference):
        return values
    if (
        _PLAIN.fullmatch(answer)
        and " -" not in answer
        and _JOINING.isdisjoint(answer.lower().replace("-", " ").split())
        and (answer[1:].islower() or not GLUED.search(answer))
    ):
        if RANGE.search(answer.lower()):
            return spanned(answer, reference)
        return run_together(answer, reference) or hyphenated(answer, reference)
    if (found := _BOTH_WAYS.search(answer.lower())) and not _BOTH_WAYS.search(reference.lower()):
        return (found[0],)
    if normalize_answer(answer) == normalize_answer(reference):
        return ()
    given = split(answer)
    if len(given) < 2:
        only = given[0].text if given else ""
        return spanned(answer, reference) or hyphenated(only, reference) or run_together(only, reference)
    wanted = split(reference)
    known = frozenset(itertools.chain.from_iterable(part.stems for part in wanted))
    if len({"left", "right"} & known) != 1 and (_TWO_SIDES.search(answer) or _TWO_SIDES.search(reference)):
        given, wanted = split(_TWO_SIDES.sub("bilateral", answer)), split(_TWO_SIDES.sub("bilateral", reference))
        known = frozenset(itertools.chain.from_iterable(part.stems for part in wanted))
    if _names_both_sides(known) and _names_both_sides({word for part in given for word in part.stems}):
        given, wanted = _without_sides(given), _without_sides(wanted)
        known = known - _SIDES
    given, wanted = given[:_MOST_PARTS], wanted[:_MOST_PARTS]
    if given == wanted:
        return ()
    if {part.text for part in given} >= _VERDICTS:
        return ("yes and no",)
    if wanted and wanted[0].text in _VERDICTS:
        return ()
    if abbreviates(given, wanted) or abbreviates(wanted, given) or _same_words(given, wanted):
        return ()
    return Offer(given, wanted, known).rivals()


def _same_words(given: Sequence[Part], wanted: Sequence[Part]) -> bool:
    """Whether both join the same words by "and" or commas: "posterior and anterior horns", which is no choice."""
    stems = [sorted(itertools.chain.from_iterable(part.stems for part in parts)) for parts in (given, wanted)]
    return len(wanted) > 1 and stems[0] == stems[1] and all(p.joint <= Joint.AND for p in (*given, *wanted))


def _names_both_sides(words: Set[str]) -> bool:
    return bool(words & {"bilateral", "bilaterally", "both"}) or {"left", "right"} <= words


def _without_sides(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts without words for sides, where both texts name both: "left kidney, right kidney" for both kidneys."""
    kept = []
    for part in parts:
        places = [place for place, word in enumerate(part.plain) if word not in _SIDES]
        words, plain, stems = (tuple([some[at] for at in places]) for some in (part.words, part.plain, part.stems))
        kept.append(replace(part, words=words, plain=plain, stems=stems))
    return tuple(kept)
