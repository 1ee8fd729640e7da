"""Parses a reply with the training grammar, and finds the option that an answer names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from medix_r1.grammar import ThinkElement, parse_completion
from medix_r1.wording.spelling import normalize_answer

_LETTER = re.compile(r"[(\[]?\s*([A-Za-z])\s*(?:[).:,\]]\s*|\s+[-–]\s+|$)(.*)$", re.DOTALL)
_LABEL = re.compile(
    r"(?:the\s+)?(?:(?:final|correct|right|best|my)\s+){0,2}(?:answer|option|choice)(?:\s+is)?(?:\s*[:=]\s*|[*_]*\s+)",
    re.IGNORECASE,
)
_WRAPPED = re.compile(  # the whole, in TeX's box, dollars, brackets or quotes
    r"\\(?:boxed|text|textbf|mathrm|mathbf)\{(.*)\}|\$(.*)\$|\[(.*)\]|\((.*)\)|\{(.*)\}|【(.*)】|\"(.*)\"|“(.*)”",
    re.DOTALL,
)
_MOST_WRAPPINGS = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """A parsed reply.

    Attributes:
        think: content of the think block.
        answer: the text to grade; None when there is none.
        problems: violations of the grammar.
        confidence: the number in `<confidence>` behind the answer; None without a readable one.
    """

    think: str | None
    answer: str | None
    problems: tuple[str, ...]
    confidence: float | None = None


def parse_reply(
    text: str, reasoning: str | None, *, prompt: str, think_element: ThinkElement, has_image: bool
) -> Reply:
    """Parse a reply.

    Args:
        text: as generated.
        reasoning: reasoning that the server returned as a separate field; None when the text holds everything.
        prompt: with `training` and `calibrated` only a single answer block is graded; with
            `plain`, which asks for no format, a reply without one is graded whole, without its finished think block.
        think_element: the element that the prompt asked for.
        has_image: whether a modality tag is required.
    """
    whole = f"<{think_element}>{reasoning}</{think_element}>{text}" if reasoning else text
    completion = parse_completion(
        whole,
        think_element=think_element,
        wants_modality=has_image,
        confidence="required" if prompt == "calibrated" else "optional",
    )
    if prompt != "plain" or completion.answer is not None:
        return Reply(completion.think, completion.answer, completion.problems, completion.confidence)
    return Reply(completion.think, _without_thinking(whole), ())


def _without_thinking(text: str) -> str | None:
    for element in ("think", "thinking"):
        if (end := text.rfind(f"</{element}>")) >= 0:
            return text[end + len(element) + 3 :].strip()
        if f"<{element}>" in text:
            return None  # the think block never ended
    return text.strip()


def option_letter(answer: str, choices: Sequence[str]) -> str | None:
    r"""The letter of the option that an answer names unambiguously; None when a judge has to read it.

    Unambiguous is a letter alone (`B`, `(b)`, `B.`, `Answer: B`, `\boxed{B}`), a letter with its own option's text, or
    exactly one option's text. `B or C`, or a letter that is or stands with another option's text, is ambiguous.

    Args:
        answer: the text to grade.
        choices: the options' texts in the order of their letters; an empty one is no option.
    """
    spelt = {
        letter: normalize_answer(text) for letter, text in zip(ascii_uppercase, choices, strict=False) if text.strip()
    }
    forms = _unwrapped(answer)
    same = {letter for letter, text in spelt.items() if text in {normalize_answer(form) for form in forms}}
    match = _LETTER.match(forms[-1])
    named = match[1].upper() if match and match[1].upper() in spelt else None
    if match and named and not match[2].strip("*_ "):
        return named if not same or named in same else None
    if same:
        return same.pop() if len(same) == 1 else None
    return named if match and named and normalize_answer(match[2].strip("*_ ")) == spelt[named] else None


def _unwrapped(answer: str) -> list[str]:
    """The answer and what is left of it without emphasis, label and wrapping, from the outside to the inside."""
    forms = [unicodedata.normalize("NFKC", answer).strip()]
    for _ in range(_MOST_WRAPPINGS):
        form = forms[-1].strip("*_`# \n\t")
        form = _LABEL.sub("", form, count=1) if _LABEL.match(form) else form
        if wrapped := _WRAPPED.fullmatch(form.rstrip(" .;,")):
            form = next(inner for inner in wrapped.groups() if inner is not None)
        if form == forms[-1]:
            break
        forms.append(form)
    return forms
