"""Taking a reply apart with the training grammar, and reading an option's letter out of an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from medix_r1.grammar import ThinkElement, normalize_answer, parse_completion

_LETTER = re.compile(r"^[\s*_]*\(?\s*([A-Za-z])\s*(?:[).:,]\s*|\s+[-–]\s+|$)(.*)$", re.DOTALL)
_BEFORE = re.compile(r"^\s*(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)(?:\s+is)?\s*:?\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """Parts of a reply: think block, what is graded (None: nothing), and what is malformed."""

    think: str | None
    answer: str | None
    problems: tuple[str, ...]


def take_apart(text: str, reasoning: str | None, *, prompt: str, think_element: ThinkElement, has_image: bool) -> Reply:
    """Take a reply apart.

    Args:
        text: as generated.
        reasoning: what the server had already taken out of the reply; None when it left the reply whole.
        prompt: after `training` only a single answer block is graded; after `plain`, which asks for no form, a reply
            without one is graded whole, less a finished think block.
        think_element: the element that the prompt asked for.
        has_image: whether a modality tag is required.
    """
    whole = f"<{think_element}>{reasoning}</{think_element}>{text}" if reasoning else text
    completion = parse_completion(whole, think_element=think_element, wants_modality=has_image)
    if prompt == "training" or completion.answer is not None:
        return Reply(completion.think, completion.answer, completion.problems)
    return Reply(completion.think, _without_thinking(whole), ())


def _without_thinking(text: str) -> str | None:
    for element in ("think", "thinking"):
        if (end := text.rfind(f"</{element}>")) >= 0:
            return text[end + len(element) + 3 :].strip()
        if f"<{element}>" in text:
            return None  # it never stopped thinking
    return text.strip()


def option_letter(answer: str, choices: Sequence[str]) -> str | None:
    """The option that an answer names beyond doubt, or None: then a judge has to read it.

    Beyond doubt is a letter alone (`B`, `(b)`, `B.`, `Answer: B`), a letter with its own option's text, or exactly one
    option's text. `B or C`, or a letter with another option's text, is not.
    """
    letters = ascii_uppercase[: len(choices)]
    spelt = [normalize_answer(choice) for choice in choices]
    core = _BEFORE.sub("", answer, count=1).strip("*_ \n")
    same = [letter for letter, text in zip(letters, spelt, strict=True) if text == normalize_answer(core)]
    if len(same) == 1:
        return same[0]
    match = _LETTER.match(core)
    if same or match is None or (letter := match[1].upper()) not in letters:
        return None
    rest = normalize_answer(match[2].strip("*_ "))
    return letter if rest in ("", spelt[letters.index(letter)]) else None
