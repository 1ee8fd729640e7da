"""Splits an answer into its parts, at everything that may stand between two things: words, signs, line breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from medix_r1.bounded_cache import bounded_cache
from medix_r1.wording.spelling import normalize_answer
from medix_r1.wording.terms import LISTS, content, plain_stem, stem


class Joint(IntEnum):
    """What joins a part to the one before it, from the loosest sign to the plainest choice."""

    LOOSE = 0  # with, a colon, a dash, brackets: mostly a detail
    AND = 1  # and, plus, a slash
    COMMA = 2  # a comma or full stop: a list or a detail
    BREAK = 3  # a semicolon, a line break, a slash with blanks: the same
    LIST = 4  # bullets, numbers, arrows, question marks, quotes: a list
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
    """

    text: str
    words: tuple[str, ...]
    plain: tuple[str, ...]
    stems: tuple[str, ...]
    joint: Joint
    denied: bool = False
    restated: bool = False
    set_off: bool = False


def _phrases(name: str) -> str:
    """A list of words.yaml as a pattern, the longest phrase first."""
    return "|".join(re.escape(phrase) for phrase in sorted(LISTS[name], key=len, reverse=True))


_COMPOUND = re.compile(rf"\b(?:{_phrases('compounds')}|[a-z]/[a-z])\b")
_UNIT_SLASH = re.compile(r"(?<=\d)[^\W\d_°%]{1,2}/|(?<=\d )[^\W\d_]{1,8}/[^\W\d_]{1,8}(?:/[^\W\d_]{1,8})?|%/")
# Letters that no answer has, in place of signs that join nothing.
_HIDE = str.maketrans("/&, .", "\ua727\ua729\ua72b\ua72d\ua72f")
_SHOW = str.maketrans("\ua727\ua729\ua72b\ua72d\ua72f", "/&, .")
_BULLETS = re.compile(r"^[ ]?(?:[-*+>•·▪●◦‣■➢✓–]|->) +", re.MULTILINE)
_MARK = "\ue000"  # stands for the bullet or number of a list
_NUMBER_MARK = re.compile(
    r"(?:(?<=^)|(?<=[\s,;(]))\(?(?:(\d{1,2})|([a-h]))[.):](?=\s)|(?:(?<=^)|(?<=\s))\((?:(\d{1,2})|([a-h]))\)"
)
# The letter of an option before its text. A letter and a full stop before one word may be an initial: "e. coli".
_OPTION = re.compile(
    r"^(?:(?:option|choice|answer):? )?\(?(?:[1-9][.):] ?|[a-h][):] ?|[a-h]\. (?=\S+ )|[a-h1-9] - )(?=[^\s\d])"
)
_NAMED_BY_LETTER = "|".join(rf"(?<={word[-4:]}\ \w)" for word in ("hepatitis", "type", "class", "grade", "group"))
_JOINT = re.compile(
    rf"""
    (?P<restated>,?\s?\(?\b(?:{_phrases("restatements")})(?:,|(?=\s))\s?)
  | (?P<denied>,?\s?\b(?:{_phrases("exclusions")})\b\s?)
  | (?P<or>,?\s?\b(?:{_phrases("choices")})(?!\w),?:?\s?)
  | (?P<list>\s?(?:[|•·▪●◦‣■➢{_MARK}]|//+|[-=]+>|[→⇒➔»]|\?)\s?)
  | (?P<break>\s?[;\n]+\s?|\s/\s?|/\s)
  | (?P<and>,?\s?\b(?:{_phrases("additions")})\b\s?|\s&\s|(?<=\w\w)&(?=\w\w)|\s\+\s
      |(?<=[^\W\d_])\s?/(?=[^\W\d_])|(?<=\d)/(?=[^\W\d_])|(?<=[+-])/(?=\w))
  | (?P<comma>(?<!\d),|,(?!\d)|(?:(?<=\w\w)|(?<=[^\w\s.])|{_NAMED_BY_LETTER})\.(?=\s))
  | (?P<quote>")
  | (?P<open>\s?[(\[]\s?)
  | (?P<close>\s?[)\]]\s?)
  | (?P<colon>:\s|\s-+\s)
  | (?P<loose>,?\s?\b(?:{_phrases("loose")})\b\s?)
    """,
    re.VERBOSE,
)
_DENIED = re.compile(rf"^(?:{_phrases('denied before')})\b|\b(?:{_phrases('denied behind')})$")
_DENIALS = frozenset(LISTS["denials"])
_LEAD = re.compile(rf"^(?:{_phrases('leads')})(?![\w'/-])[:,]?\s?(?:(?:the|an?) )?")
_LABELS = frozenset(LISTS["labels"])
_JOINTS = (("break", Joint.BREAK), ("comma", Joint.COMMA), ("and", Joint.AND))


@bounded_cache
def split(text: str) -> tuple[Part, ...]:
    """Split an answer, as it was given, into its parts."""
    lines = [normalize_answer(line) for line in _BULLETS.sub(_MARK, text).splitlines()]
    text = _without_numbers("\n".join(line for line in lines if line))
    text = _UNIT_SLASH.sub(_hide, _COMPOUND.sub(_hide, text))
    return tuple(_parts(text))


def _hide(match: re.Match[str]) -> str:
    return match[0].translate(_HIDE)


def _without_numbers(text: str) -> str:
    """Turn the numbers or letters of a list into one mark, and remove the letter of a single option.

    They are a list when at least two of them run on, as in "1. … 2. …"; "S. pneumoniae and H. influenzae" has initials.
    """
    marks = list(_NUMBER_MARK.finditer(text))
    values = [int(mark[1] or mark[3]) if mark[1] or mark[3] else ord(mark[2] or mark[4]) for mark in marks]
    closed = [mark[0].endswith(")") for mark in marks]
    listed: set[int] = set()
    for place in range(len(marks) - 1):
        gap = 3 if closed[place] and closed[place + 1] else 1  # "b) … d) …" is a list, "b. … d. …" has initials
        if 0 < values[place + 1] - values[place] <= gap:
            listed |= {place, place + 1}
    if not listed:
        option = _OPTION.match(text)
        return text[option.end() :] if option and "\n" not in text else text
    pieces, last = [], 0
    for place in sorted(listed):
        pieces.append(text[last : marks[place].start()])
        last = marks[place].end()
    return _MARK.join([*pieces, text[last:]])


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
    for match in [*_JOINT.finditer(text), None]:
        piece = text[start : match.start() if match else len(text)].strip(" .,;:")
        if piece:
            found.append(_Piece(piece, frozenset(joints), depth > 0 or "colon" in joints))
            joints = set()
        if match is not None:
            name, start = str(match.lastgroup), match.end()
            depth = depth + 1 if name == "open" else max(0, depth - 1) if name == "close" else depth
            joints.add(name)
    return found


def _parts(text: str) -> Iterator[Part]:
    pieces = _pieces(text)
    behind_first = pieces[1].joints - {"denied", "restated"} if len(pieces) > 1 else frozenset()
    last: Part | None = None
    for place, piece in enumerate(pieces):
        joint = _strength(piece.joints if place else piece.joints | behind_first)
        part = _part(piece, joint)
        if part is None:
            continue
        if last is not None and _goes_on_denying(last, part):  # "no effusion or pneumothorax"
            part = replace(part, denied=True)
        yield part
        last = part if "denied" not in piece.joints else None


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
    if "list" in joints or ("comma" in joints and ("quote" in joints or {"open", "close"} <= joints)):
        return Joint.LIST
    return next((joint for name, joint in _JOINTS if name in joints), Joint.LOOSE)


def _part(piece: _Piece, joint: Joint) -> Part | None:
    """Read one piece; None for a label, such as "findings"."""
    text = piece.text.translate(_SHOW)
    if text in _LABELS:
        return None
    denied = "denied" in piece.joints or bool(_DENIED.search(text))
    for _ in range(3):
        lead = _LEAD.match(text)
        if not lead or lead.end() == len(text):
            break
        text = text[lead.end() :]
    kept = content(text)
    if denied:
        kept = tuple([word for word in kept if word not in _DENIALS]) or kept
    return Part(
        text=text,
        words=kept,
        plain=tuple(map(plain_stem, kept)),
        stems=tuple(map(stem, kept)),
        joint=joint,
        denied=denied,
        restated="restated" in piece.joints,
        set_off=piece.set_off,
    )
