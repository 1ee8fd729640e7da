"""From the words of a set to the 16 modality tags: by the user's own map, the tags' names, or `modalities.yaml`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from medix_r1.data.meaning.text import as_text, is_missing, list_in_text, shown
from medix_r1.data.row import Reason, RowRejected
from medix_r1.errors import Problem
from medix_r1.grammar import ModalityTag, parse_reference
from medix_r1.host.yaml_text import read_yaml
from medix_r1.rewards.references import like_a_tag

_SEPARATORS = re.compile(r"[\s_/\-‐-―]+")
_KEY = re.compile(r"[A-Za-z][\w/|.+-]*", re.ASCII)  # what needs no quotes, neither in a shell nor in Hydra
_IN_BRACKETS = re.compile(r"^([^()]*)\(([^()]*)\)?$")


@cache
def known_words() -> Mapping[str, str]:
    """From every word of `modalities.yaml`, as `_plain` writes it, to its tag."""
    table = read_yaml(files("medix_r1.data.meaning") / "modalities.yaml")
    words = {_plain(str(word)): tag for tag, listed in table.items() for word in listed}
    return words | {_plain(tag): str(tag) for tag in ModalityTag}


def map_problems(own: Mapping[Any, Any]) -> Iterator[Problem]:
    """What is wrong with a user's map from words to tags, or from tags to lists of words."""
    for key, value in own.items():
        tag = key if isinstance(value, list) else value
        if tag not in ModalityTag.__members__:
            known = ", ".join(ModalityTag)
            yield Problem(f"data.tags.{key}", "not-a-choice", f"{tag!r} is none of the 16 tags ({known})")


def words_of(own: Mapping[Any, Any]) -> dict[str, str]:
    """From words to tags, of a user's map: {WORD: TAG}, or {TAG: [WORD, …]} for words that no key can be."""
    found: dict[str, str] = {}
    for key, value in own.items():
        listed = {str(word): str(key) for word in value} if isinstance(value, list) else {str(key): str(value)}
        found |= listed
    return found


def tag_of(value: Any, own: Mapping[str, str]) -> str | None:
    """The tag that a cell names; None for a missing cell.

    Args:
        value: a word, a list of one, or a mapping of which one value is true (LLaVA-Med's `domain`).
        own: from words to tags, before the table.

    Raises:
        RowRejected: the word is not known, or two tags are named.
    """
    if isinstance(value, Mapping) and not is_missing(value):
        if not all(is_missing(holds) or holds in (0, 1) for holds in value.values()):
            fields = ", ".join(map(str, value))
            says = f"a mapping ({shown(fields)}) of other values than true and false; name one: data.columns.tag"
            raise RowRejected(Reason.UNKNOWN_TAG, f"{says}=COLUMN.FIELD")
        value = [word for word, holds in value.items() if holds == 1]
    if isinstance(value, str) and (listed := list_in_text(value)) is not None:
        value = listed
    if is_missing(value):
        return None
    words = [as_text("tag", word).strip() for word in (value if isinstance(value, list) else [value])]
    tags = list(dict.fromkeys(_tag_of_word(word, own) for word in words))
    if len(tags) > 1:
        raise RowRejected(
            Reason.UNKNOWN_TAG, f"{shown(', '.join(words))} names {len(tags)} modalities; a row has one tag"
        )
    return tags[0]


def _tag_of_word(word: str, own: Mapping[str, str]) -> str:
    mine = {_plain(key): tag for key, tag in own.items()}
    plain = _plain(word.strip("<> "))
    if found := mine.get(_plain(word)) or mine.get(plain) or known_words().get(plain):
        return found
    if match := _IN_BRACKETS.match(word):
        head, inside = (mine.get(part) or known_words().get(part) for part in map(_plain, match.groups()))
        if head and inside in (head, None):
            return head
    raise RowRejected(
        Reason.UNKNOWN_TAG,
        f"{shown(word)} is no modality that is known here; say which tag it is: {_said(shown(word))}",
    )


def _said(word: str) -> str:
    """How a word is given a tag on the command line, whose mappings take only plain keys."""
    return (
        f"'data.tags={{{word}: TAG}}'"
        if _KEY.fullmatch(word)
        else f"'data.tags={{TAG: [{json.dumps(word, ensure_ascii=False)}]}}'"
    )


def _is_known(word: str, own: Mapping[str, str]) -> bool:
    return _plain(word) in known_words() or _plain(word) in map(_plain, own)


def _plain(word: str) -> str:
    return _SEPARATORS.sub(" ", word).strip(" .").casefold()


def tag_in(answer: str, own: Mapping[str, str], *, expected: bool) -> tuple[str | None, str]:
    """The tag in front of a reference such as `<X_RAY>left lung`, and the answer behind it.

    Args:
        answer: with or without a tag.
        own: from words to tags, before the table.
        expected: whether the row needs a tag and has none elsewhere, so that `<HB>` can only be meant as one.

    Raises:
        RowRejected: a tag is expected and what stands in its place is not known.
    """
    parsed = parse_reference(answer)
    name = like_a_tag(answer) if parsed.modality is None else None
    if name is None or not (expected or _is_known(name, own)):
        return parsed.modality, parsed.answer
    return tag_of(name, own), answer.partition(">")[2].strip()
