"""An answer of several parts beside its reference: the role of each part, and which of them are rivals."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from medix_r1.wording.comparing import (
    ANATOMY,
    Likeness,
    abbreviates,
    abbreviates_loosely,
    akin,
    compare,
    completed,
    have_one_root,
    includes,
    is_adjective,
    is_diagnosis,
    is_firm,
    other_value,
    same_quantities,
    within,
)
from medix_r1.wording.numbers.quantities import quantities
from medix_r1.wording.parts import Joint, Part
from medix_r1.wording.synonyms import are_synonyms
from medix_r1.wording.terms import FILLERS, KINDS, LISTS, QUALIFYING, is_alike, readings

_SENTENCE = re.compile(rf"\b(?:{'|'.join(LISTS['verbs'])})\b")
_ALL = re.compile(r"(?:both|all|any|either|(?:all|any|either|none|one|both) of .*|neither\b.*)")
_PARTICIPLE = re.compile(r"[a-z]{4,}(?:ed|ing)")
_COMPLEMENT = re.compile(r" (?:of|in|on|at|from) ")
_SIGN_OF = re.compile(r"\b(?:signs?|pattern|appearance|triad)$")  # "double duct sign → carcinoma"
_PARTS_OF_A_LIST = 3


class _Role(Enum):
    """What a part of the answer is to the reference."""

    SAME = "same"
    DETAIL = "detail"
    RIVAL = "rival"
    RELATED = "related"  # it goes with the reference: no rival by itself
    OPEN = "open"  # nothing is known about it


class Offer:
    """An answer of several parts beside its reference."""

    def __init__(self, given: Sequence[Part], wanted: Sequence[Part], known: frozenset[str]) -> None:
        self.given, self.wanted, self.known = given, wanted, known
        self._bare = self._without_head()

    def _without_head(self) -> Part | None:
        """The reference without its last word, if that is a part: "MCA, ACA" for MCA infarct."""
        if len(self.wanted) != 1 or len(self.wanted[0].stems) < 2:
            return None
        one = self.wanted[0]
        bare = replace(one, words=one.words[:-1], plain=one.plain[:-1], stems=one.stems[:-1])
        return bare if any(part.stems == bare.stems for part in self.given) else None

    def rivals(self) -> tuple[str, ...]:
        """The texts of the parts that are offered beside the reference."""
        roles = [self._role(part, place) for place, part in enumerate(self.given)]
        by_role = {role: [part for part, one in zip(self.given, roles, strict=True) if one is role] for role in _Role}
        same, rivals = by_role[_Role.SAME], by_role[_Role.RIVAL]
        if any(len(self.wanted) > 1 or self._is_whole(part) for part in same) or self._chooses_by_the_first_words(
            roles
        ):
            rivals += self._unexplained(roles, len(rivals))
        elif not same and not rivals:
            rivals = self._choice()
        if rivals:
            rivals += by_role[_Role.RELATED]
        offered = [part.text for part in rivals]
        if (rivals or same) and len(self.given) > 2 and not self.known & {"both", "neither", "all", "any", "none"}:
            offered += [part.text for part in self.given if _ALL.fullmatch(part.text)]
        return tuple(dict.fromkeys(offered))

    def _names(self, part: Part) -> bool:
        return any(
            includes(part, one)
            or _shortens(part, one)
            or (part.denied == one.denied and are_synonyms(part.plain, one.plain))
            for one in self.wanted
        )

    def _is_whole(self, part: Part) -> bool:
        """Whether a part says all of the reference, perhaps with the last word of the part behind it."""
        if self.known <= set(part.stems) or self._names(part):
            return True
        if self._bare is not None and part.stems == self._bare.stems and len(self.given) >= _PARTS_OF_A_LIST:
            return True
        place = self.given.index(part) + 1
        whole = completed(part, self.given[place]) if place < len(self.given) else None
        return whole is not None and self._names(whole)

    def _chooses_by_the_first_words(self, roles: Sequence[_Role]) -> bool:
        """Whether "or" joins a part to one that says a name of the reference without the rest: "cephalic or breech"."""
        if len(self.wanted) != 1:
            return False
        return any(
            part.joint is Joint.OR
            and (
                (role is _Role.SAME and any(word not in QUALIFYING for word in part.stems))
                or abbreviates_loosely(part, self.wanted[0])
            )
            for part, role in zip(self.given, roles, strict=True)
        )

    def _unexplained(self, roles: Sequence[_Role], others: int) -> list[Part]:
        """The open parts that are rivals: those that are joined by a plain sign, or all of a list of three or more."""
        size = max(len(part.stems) for part in self.wanted) + 2
        listed: list[Part] = []
        plain: list[Part] = []
        for place, (part, role) in enumerate(zip(self.given, roles, strict=True)):
            marked = part.joint >= Joint.LIST
            if role is not _Role.OPEN or _SENTENCE.search(part.text) or len(part.stems) > size + 2 * marked:
                continue
            if marked or not (is_adjective(part.stems[-1]) or self._may_be_signs(part)):
                listed.append(part)
            if marked or (part in listed and part.joint is Joint.AND and self._is_added(part, place, roles)):
                plain.append(part)
        if len(listed) + others < _PARTS_OF_A_LIST - 1 or not self._is_list(roles):
            return plain
        follow = (
            roles[0] is _Role.SAME and not others
        )  # what is seen may follow a name: "X, string of beads, renal artery"
        return plain if follow and not plain and not any(map(self._probably_rivals, listed)) else listed

    def _may_be_signs(self, part: Part) -> bool:
        """Whether the reference is a disease and a part, whose kind is unknown, may describe it: "moon facies"."""
        listed = part.joint in (Joint.COMMA, Joint.AND)
        return listed and any(map(is_diagnosis, self.wanted)) and not self._probably_rivals(part)

    def _is_added(self, part: Part, place: int, roles: Sequence[_Role]) -> bool:
        """Whether "and" joins a part to the one that is the reference, and both are whole."""
        beside = roles[place - 1] if place else roles[1]
        whole = not any(_COMPLEMENT.search(one.text) for one in self.given)
        return beside is _Role.SAME and (whole or self._probably_rivals(part))

    def _is_list(self, roles: Sequence[_Role]) -> bool:
        """Whether the parts are things side by side, and no description with the reference behind it: "a and b (c)"."""
        joints = [part.joint for part in self.given[1:]]
        if any(one is Joint.AND and other is Joint.COMMA for one, other in itertools.pairwise(joints)):
            return any(joint >= Joint.LIST for joint in joints)
        return not all(part.set_off for part, role in zip(self.given, roles, strict=True) if role is _Role.SAME)

    def _probably_rivals(self, part: Part) -> bool:
        return any(compare(part, one) is Likeness.PROBABLY_OTHER for one in self.wanted)

    def _choice(self) -> list[Part]:
        """The parts that rival the first one, where none is the reference: several wrong things."""
        things = [part for part in self.given if not part.denied and part.stems]
        others = [
            part for part in things[1:] if other_value(part, things[0]) or compare(part, things[0]) is Likeness.OTHER
        ]
        certain = len(others) > 1 or any(part.joint >= Joint.LIST for part in others)
        return others if certain and len(others) == len(things) - 1 else []

    def _role(self, part: Part, place: int) -> _Role:
        if not part.stems or self._is_label(part.text) or (_ALL.fullmatch(part.text) and not self._may_be_all(part)):
            return _Role.DETAIL
        if self._contradicts_itself(part):
            return _Role.RIVAL
        if part.denied:
            return _Role.SAME if any(one.denied and self._touches(part, one) for one in self.wanted) else _Role.DETAIL
        if any(same_quantities(part, one) for one in self.wanted):
            return _Role.SAME
        if self._has_other_value(part):
            return _Role.RIVAL
        if part.restated and not any(compare(part, one) is Likeness.OTHER for one in self.wanted):
            return _Role.DETAIL
        if self._is_another_by_its_initials(part):
            return _Role.RIVAL
        if self._names(part) or all(word in self.known or self._is_known(word) for word in part.stems):
            return _Role.SAME
        if part.joint < Joint.AND and self._is_another_head(part, place):
            return _Role.SAME
        if (part.joint > Joint.LOOSE and self._lacks_the_head(part)) or self._is_chosen_with_the_next(part, place):
            return _Role.RIVAL
        if _qualifies(part):
            return _Role.RIVAL if self._qualified_before(part, place) else _Role.DETAIL
        return self._role_of_thing(part, place)

    def _role_of_thing(self, part: Part, place: int) -> _Role:
        """The role of a part that names something and does not say the reference."""
        others = [one for number, one in enumerate(self.given) if number != place]
        if any(includes(part, one) for one in others[:place]) or any(_shortens(part, one) for one in others):
            return _Role.DETAIL
        if part.set_off and any(abbreviates_loosely(part, one) for one in others[:place]):
            return _Role.DETAIL
        likeness = {compare(part, one) for one in self.wanted}
        if Likeness.OTHER in likeness and not likeness & {Likeness.SAME, Likeness.RELATED}:
            joined = part.joint > Joint.LOOSE or (part.set_off and not part.aside) or is_firm(part)
            joined = joined or part.restated or (place == 0 and self.given[1].restated)
            return _Role.RIVAL if joined else _Role.DETAIL
        if place + 1 < len(self.given) and (whole := completed(part, self.given[place + 1])) is not None:
            differs = any(compare(whole, one) is Likeness.OTHER or other_value(whole, one) for one in self.wanted)
            if self._names(whole):
                return _Role.SAME
            if differs:
                return _Role.RIVAL
        if Likeness.SAME in likeness or part.joint is Joint.LOOSE:
            return _Role.DETAIL
        if Likeness.RELATED in likeness:
            return _Role.RIVAL if part.joint >= Joint.LIST else _Role.RELATED
        if part.joint < Joint.LIST and (
            part.aside or all(one in QUALIFYING or one in self.known for one in part.stems)
        ):
            return _Role.DETAIL  # "complete tear" for a ligament's tear
        if Likeness.PROBABLY_OTHER in likeness:
            return _Role.OPEN
        if any(have_one_root(part, one) for one in self.wanted):
            return _Role.DETAIL
        if Likeness.CONTEXT in likeness and part.joint < Joint.LIST and len(self.wanted) < 2:
            return _Role.DETAIL
        return _Role.DETAIL if self._describes(part) else _Role.OPEN

    def _lacks_the_head(self, part: Part) -> bool:
        """Whether a part is another thing with the last words of the reference: "Colles, Smith" for Smith fracture."""
        if len(self.wanted) != 1 or part.denied or len(part.plain) > 2:
            return False
        one, bare = self.wanted[0], self._bare
        if bare is not None and compare(part, bare) is Likeness.OTHER:
            return True
        if readings(part.plain)[0] and bare is None:
            return False
        return any(
            not readings(whole.plain)[1] and readings(whole.plain)[0] and compare(whole, one) is Likeness.OTHER
            for whole in (_with_head(part, one, size) for size in (1, 2) if len(one.words) > size)
        )

    def _is_another_head(self, part: Part, place: int) -> bool:
        """Whether one word takes the place of the last one before it: "mitral valve regurgitation / insufficiency"."""
        if len(part.words) != 1 or not place or len(self.given[place - 1].words) < 2:
            return False
        before = self.given[place - 1]
        plain = (*before.plain[:-1], *part.plain)
        return any(part.denied == one.denied and are_synonyms(plain, one.plain) for one in self.wanted)

    def _is_chosen_with_the_next(self, part: Part, place: int) -> bool:
        """Whether "or" joins one word to the reference behind it: "communicating or obstructive hydrocephalus"."""
        if part.joint is not Joint.OR or place + 1 >= len(self.given) or len(self.wanted) != 1:
            return False
        behind, one = self.given[place + 1], self.wanted[0]
        whole = completed(part, behind)
        if whole is None or behind.joint is not Joint.OR or whole.stems[-1] != one.stems[-1]:
            return False
        beside = set(behind.stems) <= self.known and not any(is_alike(part.stems[0], word) for word in self.known)
        return beside and part.stems[0] not in self.known and compare(whole, one) is not Likeness.SAME

    def _may_be_all(self, part: Part) -> bool:
        """Whether "all" is a leukemia."""
        return any(compare(part, one) in (Likeness.OTHER, Likeness.RELATED) for one in self.wanted)

    def _is_another_by_its_initials(self, part: Part) -> bool:
        """Whether the initials of the reference stand for another thing: "AF or flutter" for atrial flutter."""
        if part.joint < Joint.AND or part.set_off or len(part.plain) > 1 or len(self.wanted) > 1:
            return False
        return any(compare(part, one) is Likeness.OTHER and not includes(part, one) for one in self.wanted) and any(
            includes(other, one) for other in self.given if other is not part for one in self.wanted
        )

    def _is_label(self, text: str) -> bool:
        """Whether a text is the letter or number of an option, and the reference is neither."""
        if len(text) > 1:
            return False
        return not any(word[:1].isdigit() if text.isdigit() else len(word) == 1 for word in self.known)

    def _is_known(self, word: str) -> bool:
        return any(
            akin(word, other) or (word.isdigit() and within(word, other)) or _cut_short(word, other)
            for other in self.known
        )

    def _describes(self, part: Part) -> bool:
        """Whether a part of unknown kind shares a word with the reference, or looks like a description of it."""
        has_digits = any(map(str.isdigit, part.text))
        if (part.joint is not Joint.OR and _SIGN_OF.search(part.text)) or (
            has_digits and self._measures_something_else(part)
        ):
            return True
        numbers = has_digits and not any(word[:1].isdigit() for word in self.known)
        if numbers or part.joint >= Joint.LIST:
            return numbers
        return any(_PARTICIPLE.fullmatch(word) for word in part.plain) or any(map(self._is_known, part.stems))

    def _measures_something_else(self, part: Part) -> bool:
        """Whether a part has quantities with units, and none of a kind that the reference has: "45 mm ~ 19 weeks"."""
        mine = {one.dimension for one in quantities(part.text) if one.dimension}
        theirs = {one.dimension for wanted in self.wanted for one in quantities(wanted.text) if one.dimension}
        return bool(mine and theirs) and not mine & theirs

    def _contradicts_itself(self, part: Part) -> bool:
        """Whether the answer affirms and denies what the reference says, and this part is the wrong one."""
        words = set(part.stems)
        against = [one for one in self.wanted if set(one.stems) == words and one.denied != part.denied]
        return bool(against) and any(set(one.stems) == words and one.denied != part.denied for one in self.given)

    def _touches(self, part: Part, one: Part) -> bool:
        return bool(set(part.stems) & set(one.stems)) or includes(part, one)

    def _has_other_value(self, part: Part) -> bool:
        return any(other_value(part, one) for one in self.wanted) and not any(
            set(part.stems) <= set(one.stems) for one in self.wanted
        )

    def _qualified_before(self, part: Part, place: int) -> bool:
        """Whether an earlier detail names another word of the same kind: "effusion, left, right"."""
        if part.joint is Joint.AND or all(word.isdigit() for word in self.known):  # "three: left, right and middle"
            return False
        mine = {kind: word for word in part.stems for kind in KINDS.get(word, ())}
        return any(
            mine.get(kind, word) != word and not is_alike(mine[kind], word)
            for other in self.given[:place]
            if _qualifies(other) and not set(other.stems) <= self.known and not self._names(other)
            for word in other.stems
            for kind in KINDS.get(word, ())
        )


def _cut_short(one: str, other: str) -> bool:
    """Whether one of two words is the beginning of the other and names nothing: "tazo", "strep"."""
    short, long = sorted((one, other), key=len)
    if not 3 <= len(short) < 6 <= len(long) or not long.startswith(short) or not short.isalpha():
        return False
    return not readings((short,))[0] and short not in QUALIFYING


def _with_head(part: Part, one: Part, size: int) -> Part:
    """A part with the last words of another one."""
    return replace(
        part,
        words=(*part.words, *one.words[-size:]),
        plain=(*part.plain, *one.plain[-size:]),
        stems=(*part.stems, *one.stems[-size:]),
    )


def _shortens(part: Part, one: Part) -> bool:
    """Whether one of two parts is the initials of the other."""
    return abbreviates([part], [one]) or abbreviates([one], [part])


def _qualifies(part: Part) -> bool:
    """Whether a part consists of words that qualify, or is one adjective."""
    words = part.text.replace("-", " ").split()
    named, before = readings(part.plain)
    if len(part.plain) > 1 and not before and any(term.kind in ANATOMY for term in named):
        return False  # the frontal lobe is no view
    if all(word in QUALIFYING or word in FILLERS or word.isdigit() for word in words):
        return any(word in QUALIFYING for word in words)
    return len(words) == 1 and is_adjective(words[0]) and (words[0].endswith("ing") or not readings(part.plain)[0])
