"""Checks arguments of `vllm serve` by name and value, from a generated list: an unknown one ends a run as it starts."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medix_r1.errors import Problem

_LIST = Path(__file__).parent / "vllm_arguments.json"
_FORMS = {  # pattern, code of the problem, words
    "int": (re.compile(r"[+-]?\d+"), "not-an-integer", "a whole number"),
    "number": (re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"), "not-a-number", "a number"),
    "size": (
        re.compile(r"auto|-1|\d+(?:\.\d+)?[kmgtKMGT]?"),
        "not-an-integer",
        "a whole number, as in 4096 or 4k",
    ),
}


@functools.cache
def _known() -> Mapping[str, str | list[str]]:
    known: dict[str, str | list[str]] = json.loads(_LIST.read_text(encoding="utf-8"))
    return known


def word_problems(key: str, words: Sequence[object]) -> Iterator[Problem]:
    """Problems of words as one writes them behind `vllm serve MODEL`; single dashes and positions are not looked at.

    Args:
        key: of the list in the config.
        words: the list.
    """
    texts = [str(word) for word in words]
    for place, text in enumerate(texts):
        if not text.startswith("--"):
            continue
        name, has_value, value = text[2:].partition("=")
        following = texts[place + 1] if place + 1 < len(texts) else "--"
        if not has_value and not following.startswith("--"):
            has_value, value = " ", following
        yield from _problems(key, f"{text.partition('=')[0]}: ", name, value if has_value else None)


def keyword_problems(key: str, arguments: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of arguments by name, as verl hands `engine_kwargs.vllm` on: null is left out, true is a switch."""
    for name, value in arguments.items():
        if value is None or (value is False and f"no-{_dashed(str(name))}" in _known()):
            continue
        given = None if isinstance(value, bool) else value
        yield from _problems(f"{key}.{name}", "", str(name), given)


def _problems(key: str, lead: str, name: str, value: object) -> Iterator[Problem]:
    dashed, known = _dashed(name), _known()
    takes = known.get(dashed)
    if takes is None:
        if not any(one.startswith(dashed) for one in known):  # vLLM takes beginnings of names
            near = difflib.get_close_matches(dashed, known, n=1, cutoff=0.6)
            meant = f"; did you mean {near[0] if lead else near[0].replace('-', '_')}?" if near else ""
            yield Problem(key, "no-such-argument", f"{lead}vLLM has no such argument{meant}")
    elif "." in name or isinstance(value, Mapping | list | tuple):
        return
    elif takes == "flag":
        if value is not None and not lead:
            yield Problem(key, "not-true-or-false", f"{value!r} is neither true nor false")
    elif value is None:
        yield Problem(key, "no-value", f"{lead}has no value; give one")
    elif isinstance(takes, list):
        if str(value) not in takes:
            yield Problem(key, "not-a-choice", f"{lead}there is no {value!r}; known: {', '.join(takes)}")
    elif takes in _FORMS:
        pattern, code, words = _FORMS[takes]
        if not pattern.fullmatch(str(value)):
            yield Problem(key, code, f"{lead}{value!r} is not {words}")


def _dashed(name: str) -> str:
    return name.partition(".")[0].rstrip("+").replace("_", "-")
