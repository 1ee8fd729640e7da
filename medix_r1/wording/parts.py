"""Splits an answer into its parts, at everything that may stand between two things: words, signs, line breaks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.joints import COMPOUND, JOINT, MARK, NUMBER_MARK, OPTION, UNIT_SLASH, phrases
from medix_r1.wording.rewritten import mark_lists, plain_choices
from medix_r1.wording.spelling import normalize_answer
from medix_r1.wording.terms import LISTS, content, plain_stem, stem


class Joint(IntEnum):
    """What joins a part to the one before it, from the loosest sign to the plainest choice."""

    LOOSE = 0  # with, a colon, a dash, brackets: mostly a detail
    COMMA = 1  # a comma, a full stop, a slash: a list, a detail or another name
    BREAK = 2  # a semicolon, a line break, a slash with blanks: the same
    AND = 3  # and, plus: several things
    LIST = 4  # bullets, numbers, arrows, question marks, quotes: the same
    OR = 5  # or, versus, either: a choice


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer.

    Attributes:
        text: as it is written, normalised.
        words: its words, without those that carry no meaning of their own, leads and negations.
        plain: their plain stems, for look-ups of phrases.
        stems: their stems, for comparisons of words.
        joint: what joins it to the part before it; the first part has that of the one behind it.
        denied: the part says that something is absent.
        restated: it follows "i.e." or the like.
        set_off: it stands in brackets, or behind a colon or dash.
        aside: it starts a circumstance, such as "in the chest", or goes on with one.
    """

    text: str
    words: tuple[str, ...]
    plain: tuple[str, ...]
    stems: tuple[str, ...]
    joint: Joint
    denied: bool = False
    restated: bool = False
    set_off: bool = False
    aside: bool = False

    @classmethod
    def of(cls, text: str, joint: Joint = Joint.LOOSE, **marks: bool) -> Part:
        """Make a part of a normalised text."""
        kept = content(text)
        if marks.get("denied"):
            kept = tuple([word for word in kept if word not in _DENIALS]) or kept
        return cls(text, kept, tuple(map(plain_stem, kept)), tuple(map(stem, kept)), joint, **marks)


# Letters that no answer has, in place of signs that join nothing.
_HIDE = str.maketrans("/&, .();", "\ua727\ua729\ua72b\ua72d\ua72f\ua731\ua733\ua735")
_SHOW = str.maketrans("\ua727\ua729\ua72b\ua72d\ua72f\ua731\ua733\ua735", "/&, .();")
_ONE_OPTION = re.compile(r"(?:option|choice|answer) [a-h1-9]")
_CIRCUMSTANCE = re.compile(rf"(?:{phrases('circumstances')})\b")
_ARTICLE = re.compile(r"an? [a-z]{3}")
_EXAMPLE = re.compile(r"such as|e\.g|including|like|for example")
_DENIED = re.compile(
    rf"^(?:{phrases('denied before')})\b|\b(?:not (?:{phrases('perceived')})|{phrases('denied behind')})$"
)
_NONE = frozenset(("none", "no", "absent", "negative", "nil", "not seen", "not present"))
_DENIALS = frozenset(LISTS["denials"])
_LEAD = re.compile(rf"^(?:({phrases('doubts')})|{phrases('leads')})(?![\w'/-])[:,]?\s?(?:(?:the|an?) )?")
_TAIL = re.compile(rf"[\s,]+(?:{phrases('tails')})$")
_CHOSEN = re.compile(r"\b(?:one|another|other|alternative|option)\b")
_TOP = re.compile(
    r"(?:my )?(?:top|best|first) (?:\d|two|three|four|five)(?: (?:guesses|choices|diagnoses|differentials))?"
)
_LABELS = frozenset(LISTS["labels"])
_JOINTS = (("and", Joint.AND), ("break", Joint.BREAK), ("comma", Joint.COMMA))


@bounded_cache
def split(text: str) -> tuple[Part, ...]:
    """Split an answer, as it was given, into its parts."""
    lines = [normalize_answer(line) for line in mark_lists(text).splitlines()]
    text = plain_choices(_without_numbers("\n".join(line for line in lines if line)))
    return _parts(UNIT_SLASH.sub(_hide, COMPOUND.sub(_hide, text)))


def _hide(match: re.Match[str]) -> str:
    return match[0].translate(_HIDE)


def _without_numbers(text: str) -> str:
    """Turn the numbers or letters of a list into one mark, and remove the letter of a single option.

    They are a list when at least two of them run on, as in "1. … 2. …"; "S. pneumoniae and H. influenzae" has initials.
    """
    marks = list(NUMBER_MARK.finditer(text))
    values = [int(found) if (found := str(mark[mark.lastindex or 0])).isdigit() else ord(found) for mark in marks]
    closed = [mark[0].endswith(")") for mark in marks]
    listed: set[int] = set()
    for place in range(len(marks) - 1):
        gap = 3 if closed[place] and closed[place + 1] else 1  # "b) … d) …" is a list, "b. … d. …" has initials
        if 0 < values[place + 1] - values[place] <= gap:
            listed |= {place, place + 1}
    if not listed:
        option = OPTION.match(text)
        return text[option.end() :] if option and "\n" not in text else text
    pieces, last = [], 0
    for place in sorted(listed):
        pieces.append(text[last : marks[place].start()])
        last = marks[place].end()
    return MARK.join([*pieces, text[last:]])


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    joints: frozenset[str]  # names of all signs before it
    set_off: bool


def _pieces(text: str) -> list[_Piece]:
    """Cut at every joint; joints with nothing between them belong to the same cut."""
    found: list[_Piece] = []
    joints: set[str] = set()
    start = depth = 0
    cuts = list(JOINT.finditer(text))
    dashes = sum(" -" in cut[0] for cut in cuts) > 1  # "a - b - c" is a list
    for match in [*cuts, None]:
        piece = text[start : match.start() if match else len(text)].strip(" .,;:")
        if piece:
            found.append(_Piece(piece, frozenset(joints), depth > 0 or not joints.isdisjoint(("colon", "quote"))))
            joints = set()
        if match is not None:
            name, start = "break" if dashes and " -" in match[0] else str(match.lastgroup), match.end()
            depth = depth + 1 if name == "open" else max(0, depth - 1) if name == "close" else depth
            joints.add("several quotes" if name == "quote" and name in joints else name)
    return found


def _parts(text: str) -> tuple[Part, ...]:
    pieces = _pieces(text)
    found: list[Part] = []
    excluded = False  # by "rather than" or the like, which holds for one part
    behind_colon = False
    for place, piece in enumerate(pieces):
        if found and piece.set_off and piece.text in _NONE:  # "effusion: none"
            found[-1] = replace(found[-1], denied=True)
            continue
        behind = pieces[place + 1].joints if not found and place + 1 < len(pieces) else frozenset()
        part = _part(piece, _strength(piece.joints | behind - {"denied", "restated"}))
        if part is None:
            continue
        if not found:  # behind a label, if anything
            part = replace(part, set_off=False, restated=False)
        behind_colon = bool(found) and (
            "colon" in piece.joints or (behind_colon and part.joint in (Joint.COMMA, Joint.AND))
        )
        if behind_colon and not part.set_off:
            part = replace(part, set_off=True)
        if found and _goes_on(found[-1], part):
            part = replace(part, joint=Joint.LOOSE, aside=True)  # "with loops and fluid levels", "in chest and neck"
        if found and not excluded and _goes_on_denying(found[-1], part):  # "no effusion or pneumothorax"
            part = replace(part, denied=True)
        found.append(part)
        excluded = "denied" in piece.joints
    if len(found) > 2 and found[-1].joint is Joint.OR and all(map(_is_listed, found[:-1])):  # "a, b, or c"
        found = [replace(part, joint=Joint.OR) for part in found]
    if len(found) > 1 and found[1].joint is Joint.OR:  # "it could be a. it could be b"
        found[0] = replace(found[0], joint=Joint.OR)
    return tuple(found)


def _is_listed(part: Part) -> bool:
    return part.joint is Joint.COMMA and not (part.denied or part.aside or part.set_off or part.restated)


def _goes_on(last: Part, part: Part) -> bool:
    """Whether a part belongs to the circumstance, the examples or the bracket that the last one is in."""
    if part.joint in (Joint.COMMA, Joint.AND):
        return last.aside or (last.set_off and part.set_off)
    return part.joint is Joint.OR and last.aside and bool(_EXAMPLE.match(last.text))


def _goes_on_denying(last: Part, part: Part) -> bool:
    return (
        last.denied
        and not part.denied
        and part.joint in (Joint.OR, Joint.AND, Joint.COMMA)
        and last.stems != part.stems
    )


def _strength(joints: frozenset[str]) -> Joint:
    if "or" in joints:
        return Joint.OR
    if "list" in joints or "several quotes" in joints or {"open", "close"} <= joints:
        return Joint.LIST
    if "loose" in joints and "and" not in joints:  # ", with"
        return Joint.LOOSE
    return next((joint for name, joint in _JOINTS if name in joints), Joint.LOOSE)


def _part(piece: _Piece, joint: Joint) -> Part | None:
    """Read one piece; None for a label, such as "findings"."""
    text = piece.text.translate(_SHOW)
    if text in _LABELS or _TOP.fullmatch(text) or _ONE_OPTION.fullmatch(text):
        return None
    if tail := _TAIL.search(text):  # "a is one possibility; b cannot be excluded"
        text, joint = text[: tail.start()], max(joint, Joint.OR if _CHOSEN.search(tail[0]) else Joint.AND)
    loose = joint is Joint.LOOSE and "loose" in piece.joints
    apposed = bool(piece.joints) and joint is Joint.COMMA and bool(_ARTICLE.match(text))  # "torsades, a tachycardia"
    aside = bool(_CIRCUMSTANCE.match(text))
    denied = "denied" in piece.joints or bool(_DENIED.search(text))
    for _ in range(3):
        lead = _LEAD.match(text)
        if not lead or lead.end() == len(text):
            break
        if lead[1] and piece.joints:  # "a, perhaps b"
            joint = Joint.OR
        text = text[lead.end() :]
    aside = loose or aside or bool(_CIRCUMSTANCE.match(text))  # "both of its branches"
    return Part.of(
        text,
        joint,
        denied=denied,
        restated="restated" in piece.joints or apposed,
        set_off=piece.set_off,
        aside=aside,
    )
