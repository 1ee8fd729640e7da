"""References against which no answer can earn anything with `parser: strict`; `parser: public` takes them all."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from medix_r1.grammar import ModalityTag, parse_reference
from medix_r1.wording.spelling import is_gradable

_BETWEEN = re.compile(r"[\s_\-]+")
_LIKE_A_TAG = re.compile(r"\s{0,64}<\s{0,8}([A-Za-z][A-Za-z0-9_\- ]{0,31})\s{0,8}>")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a reference can never score: the kind as in `Problem.code`, and what is wrong."""

    code: str
    text: str


def fault_of(reference: str, *, has_image: bool = True) -> Fault | None:
    """What is wrong with a reference; None when an answer can equal it.

    Args:
        reference: as the data has it, its modality tag in front.
        has_image: False for a question without an image, whose reference has no tag, so that `<HB>` is text there.
    """
    parsed = parse_reference(reference)
    if parsed.modality is None and has_image and (name := like_a_tag(reference)) is not None:
        return Fault("unknown-tag", unknown_tag(name))
    if not parsed.answer:
        return Fault("empty-reference", "holds no answer")
    if not is_gradable(parsed.answer):
        return Fault(
            "symbols-only", f"{parsed.answer[:40]!r} has no letter or digit, so no answer is graded against it"
        )
    return None


def like_a_tag(reference: str) -> str | None:
    """The name in the brackets at the start of a text, whether or not it is one of the 16 tags."""
    match = _LIKE_A_TAG.match(reference)
    return match[1] if match else None


def unknown_tag(name: str) -> str:
    """The message about a tag that is none of the 16."""
    near = nearest_tag(name)
    return f"<{name}> is none of the 16 tags" + (f"; did you mean {near}?" if near else "")


def nearest_tag(name: str) -> str | None:
    """The tag that a word may mean: one that has it as a part (`CT`), or that is spelt nearly so (`XRAY`)."""
    words = [word for word in _BETWEEN.split(name.upper()) if word]
    if holding := [tag for tag in ModalityTag if words and {*words} <= {*tag.split("_")}]:
        return holding[0]
    plain = {tag.replace("_", ""): tag for tag in ModalityTag}
    near = difflib.get_close_matches("".join(words), plain, n=1, cutoff=0.8)
    return plain[near[0]] if near else None
