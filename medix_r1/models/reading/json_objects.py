"""Finds the JSON objects in a reply, with prose, code fences and thinking around them."""

from __future__ import annotations

import json
from collections.abc import Iterator

Pairs = list[tuple[str, object]]
_MOST_OBJECTS = 100  # opening braces that are tried


def objects_in(text: str) -> Iterator[tuple[int, int, Pairs]]:
    """Start, end and members of each JSON object in a text; a key that is there twice is kept twice."""
    decoder, place = json.JSONDecoder(object_pairs_hook=list), 0
    for _ in range(_MOST_OBJECTS):
        start = text.find("{", place)
        if start < 0:
            return
        try:
            pairs, place = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            place = start + 1
            continue
        yield start, place, pairs
