"""Strict parser of replies, `<MODALITY_TAG><think>…</think><answer>…</answer>`.

The format is that of MediX-R1 (arXiv 2602.23363, section 3). The paper writes `<think>`, the released weights write
`<thinking>`; the parser recognises both and requires one. All functions take linear time, because a policy may learn to
write hostile text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from medix_r1.confidence import Element as ConfidenceElement
from medix_r1.confidence import split_confidence
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.spelling import has_letter, is_visible

ThinkElement = Literal["think", "thinking"]


class ModalityTag(StrEnum):
    """The 16 imaging modalities that a reply may name."""

    X_RAY = "X_RAY"
    MICROSCOPY = "MICROSCOPY"
    CLINICAL_PHOTOGRAPHY = "CLINICAL_PHOTOGRAPHY"
    CT_SCAN = "CT_SCAN"
    GRAPHICS = "GRAPHICS"
    ANGIOGRAPHY = "ANGIOGRAPHY"
    PET_SCAN = "PET_SCAN"
    ULTRASOUND = "ULTRASOUND"
    MRI_SCAN = "MRI_SCAN"
    FUNDUS_PHOTOGRAPHY = "FUNDUS_PHOTOGRAPHY"
    OCT_SCAN = "OCT_SCAN"
    ENDOSCOPY = "ENDOSCOPY"
    MAMMOGRAPHY = "MAMMOGRAPHY"
    FLUOROSCOPY = "FLUOROSCOPY"
    OTHER = "OTHER"
    SPECT = "SPECT"


_LEADING_TAG = re.compile(r"\s{0,64}<\s{0,8}([A-Za-z][A-Za-z_]{0,31})\s{0,8}>")
_TAG_NAME = re.compile(rf"\b(?:{'|'.join(ModalityTag)})\b", re.IGNORECASE)
_NAMES = ("think", "thinking", "answer")
_MARK = re.compile(r"<\s{0,8}(/?)\s{0,8}(thinking|think|answer)\s{0,8}>", re.IGNORECASE)
# Fast path: every block once and no other `<`, as in most replies of a trained policy.
_PLAIN = re.compile(r"<([A-Z_]{1,32})>\s*<(think|thinking)>([^<]*)</\2>\s*<answer>([^<]*)</answer>\s*")
_MAX_PREFIX = 18  # characters of a mark before its name, as `_MARK` allows


@dataclass(frozen=True, slots=True)
class Completion:
    """One parsed reply of the policy; `problems` lists its format errors."""

    text: str
    modality: str | None  # the leading tag in upper case, even if it is none of the 16
    think: str | None
    answer: str | None  # None unless there is exactly one answer block
    problems: tuple[str, ...]
    confidence: float | None = None  # in [0, 1], where the reward asks for it and the reply says it

    @property
    def well_formed(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    end: int
    body: str


def parse_completion(
    text: str,
    *,
    think_element: ThinkElement = "think",
    wants_modality: bool = True,
    confidence: ConfidenceElement = "none",
) -> Completion:
    """Parse a reply and list its format problems.

    Args:
        text: the reply as generated, special tokens removed.
        think_element: the required element; the other spelling is parsed, but reported as a problem.
        wants_modality: whether the reply must begin with a modality tag (False for questions without an image).
        confidence: whether a block `<confidence>` may or must follow the answer.

    Returns:
        The parts that were found. Without exactly one answer block, `answer` is None.
    """
    if confidence == "none":
        return _parse(text, think_element, wants_modality)
    said = split_confidence(text, confidence)
    parsed = _parse(said.rest, think_element, wants_modality)
    return replace(parsed, text=text, confidence=said.value, problems=(*parsed.problems, *said.problems))


@bounded_cache
def _parse(text: str, think_element: ThinkElement, wants_modality: bool) -> Completion:
    if wants_modality and (plain := _parse_plain(text, think_element)) is not None:
        return plain
    return _parse_any(text, think_element, wants_modality)


def _parse_plain(text: str, think_element: ThinkElement) -> Completion | None:
    """Fast path for replies without problems; None for all others, which `_parse_any` parses."""
    match = _PLAIN.fullmatch(text)
    if match is None or match[1] not in ModalityTag.__members__ or match[2] != think_element:
        return None
    think, answer = match[3].strip(), match[4].strip()
    if not is_visible(answer) or not has_letter(think):
        return None
    return Completion(text=text, modality=match[1], think=think, answer=answer, problems=())


def _parse_any(text: str, think_element: ThinkElement, wants_modality: bool) -> Completion:
    problems: list[str] = []
    modality, body_start = _leading_tag(text)
    if wants_modality and modality is None:
        problems.append("no modality tag at the start")
    elif wants_modality and modality not in ModalityTag.__members__:
        problems.append(f"unknown modality tag <{modality}>")
    elif not wants_modality and modality is not None:
        problems.append("modality tag although there is no image")

    marks = _find_marks(text)
    element, think = _think_block(text, marks, think_element, problems)
    if marks["think"] and marks["thinking"]:
        problems.append("<think> and <thinking> marks in one reply")
    if think is not None and element != think_element:
        problems.append(f"<{element}> where <{think_element}> is required")
    if modality is not None and think is not None and _TAG_NAME.search(text[body_start : think.start]):
        modality = None  # a list of tags must not count as a right one
        problems.append("several modality tags")
    if think is not None and not has_letter(think.body):
        problems.append("empty think block")
    answer = _single_block(text, marks, "answer", problems)
    if answer is not None and not is_visible(answer.body):
        problems.append("empty answer block")

    if think is not None and text[body_start : think.start].strip():
        problems.append("text before the think block")
    if think is not None and answer is not None:
        if answer.start < think.end:
            problems.append("answer block before the end of the think block")
        elif text[think.end : answer.start].strip():
            problems.append("text between the think and answer blocks")
    if answer is not None and text[answer.end :].strip():
        problems.append("text after the answer block")
    return Completion(
        text=text,
        modality=modality,
        think=think.body.strip() if think else None,
        answer=answer.body.strip() if answer else None,
        problems=tuple(problems),
    )


def _leading_tag(text: str) -> tuple[str | None, int]:
    match = _LEADING_TAG.match(text)
    if match is None or match[1].lower() in _NAMES:
        return None, 0
    return match[1].upper(), match.end()


_Marks = Mapping[str, Sequence[re.Match[str]]]


def _find_marks(text: str) -> _Marks:
    """Find all opening and closing marks, by name.

    It searches for the names and not for `<`, of which hostile text may have very many.
    """
    lowered = text.replace("\u0130", "_").lower()  # the only character that lower() makes longer; indices must agree
    found: dict[str, list[re.Match[str]]] = {name: [] for name in _NAMES}
    for stem in ("think", "answer"):
        place = lowered.find(stem)
        while place >= 0:
            start = text.rfind("<", max(0, place - _MAX_PREFIX), place)
            mark = _MARK.match(text, start) if start >= 0 else None
            if mark is not None and mark.start(2) == place:
                found[mark[2].lower()].append(mark)
            place = lowered.find(stem, place + len(stem))
    return found


def _think_block(text: str, marks: _Marks, wanted: ThinkElement, problems: list[str]) -> tuple[str, _Block | None]:
    for element in (wanted, "thinking" if wanted == "think" else "think"):
        if marks[element]:
            return element, _single_block(text, marks, element, problems)
    problems.append(f"no <{wanted}> block")
    return wanted, None


def _single_block(text: str, marks: _Marks, name: str, problems: list[str]) -> _Block | None:
    opens = [mark for mark in marks[name] if not mark[1]]
    closes = [mark for mark in marks[name] if mark[1]]
    if not opens and not closes:
        problems.append(f"no <{name}> block")
    elif len(opens) > 1 or len(closes) > 1:
        problems.append(f"several <{name}> blocks")
    elif not opens or not closes or closes[0].start() < opens[0].end():
        problems.append(f"<{name}> block not closed" if opens else f"</{name}> without <{name}>")
    else:
        return _Block(opens[0].start(), closes[0].end(), text[opens[0].end() : closes[0].start()])
    return None


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference answer of a row: its modality tag (None for a question without an image) and its text."""

    modality: str | None
    answer: str


@bounded_cache
def parse_reference(text: str) -> Reference:
    """Split a reference such as `<X_RAY>left lung`; the tag may be missing, and white space may follow it."""
    modality, start = _leading_tag(text)
    if modality is not None and modality not in ModalityTag.__members__:
        modality, start = None, 0  # `<5 mm` or `<HB>` belongs to the answer
    return Reference(modality=modality, answer=text[start:].strip())
