"""Prompt texts, one file each, so that they are diffed and tested, and what fills them in; imports grammar.py.

A line whose placeholder gets None is left out. All placeholders are replaced in one pass, so an inserted `{answer}` is
not replaced in turn. Inserted text is neutralised first, so it cannot imitate the prompt's structure: chat-template
tokens, delimiters in angle brackets, control tokens in square brackets, line breaks (as inspect-ai's
`neutralize_structural_delimiters` does).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from string import ascii_uppercase

from medix_r1.errors import ConfigError
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.spelling import compatibility_form

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Control tokens in square brackets: [INST] of Mistral and Llama 2, [gMASK] of GLM.
_BRACKETED = re.compile(r"\[(/?[a-z]?[A-Z][A-Z_]{1,30})\]")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def load(name: str) -> str:
    """Return the text of `prompts/NAME.txt`.

    Raises:
        ConfigError: there is no such prompt; the message lists those that exist.
    """
    path = files(__package__) / f"{name}.txt"
    if not path.is_file():
        known = sorted(p.name.removesuffix(".txt") for p in files(__package__).iterdir() if p.name.endswith(".txt"))
        raise ConfigError.of("", "no-such-prompt", f"prompt '{name}' does not exist; known prompts: {', '.join(known)}")
    return path.read_text(encoding="utf-8")


def digest(text: str) -> str:
    """Short hash of a prompt's text: 12 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def fill(template: str, *, max_chars: int = 4000, **fields: str | None) -> str:
    """Fill a template's placeholders with neutralised text; lines with the placeholder of a None field are left out.

    Args:
        template: text with `{name}` placeholders.
        max_chars: longer fields are truncated.
        fields: name → text.

    Raises:
        KeyError: the template has a placeholder without a field.
    """
    absent = frozenset([name for name, text in fields.items() if text is None])
    pieces = list(_pieces(template, absent))
    pieces[1::2] = [_neutralise(fields[name] or "", max_chars) for name in pieces[1::2]]
    return "".join(pieces)


@lru_cache(maxsize=64)
def _pieces(template: str, absent: frozenset[str]) -> tuple[str, ...]:
    """Split a template into text and placeholder names, alternating, without the lines that need an absent field."""
    lines = template.splitlines(keepends=True)
    kept = (line for line in lines if not absent & set(_PLACEHOLDER.findall(line)))
    return tuple(_PLACEHOLDER.split("".join(kept)))


def options(choices: Sequence[str]) -> str | None:
    """The options of a multiple-choice question on one line, as `(A) …; (B) …`; None without any.

    More than 26 options get no letters.
    """
    if not choices:
        return None
    if len(choices) > len(ascii_uppercase):
        return "; ".join(choices)
    return "; ".join(f"({letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False) if choice)


def neutralise(text: str, *, max_chars: int = 4000) -> str:
    """Make text safe to insert into a prompt: one line, no delimiters, no control tokens, at most `max_chars` + 2."""
    return _neutralise(text, max_chars)


@bounded_cache  # the rollouts of a group have the same question and reference
def _neutralise(text: str, max_chars: int) -> str:
    if not (text.isascii() and text.isprintable()):  # fast path: most texts are printable ASCII
        text = compatibility_form(_INVISIBLE.sub("", text))
        text = "".join(c if c.isprintable() or c.isspace() else " " for c in text)
    text = " ".join(text.split())
    text = text.replace("<", "‹").replace(">", "›")  # no `</prediction>`, no `<|im_end|>`
    text = _BRACKETED.sub(r"‹\1›", text)  # no `[/INST]`
    return text if len(text) <= max_chars else text[:max_chars] + " …"
