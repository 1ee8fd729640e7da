"""Splits a report into sentences by rule: one sentence, or one item of a list, is one finding.

No dependency of ours splits sentences, and those that do so by rule have not been kept up.
"""

from __future__ import annotations

import re

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.spelling import is_gradable, normalize_answer

# A full stop behind one of these ends no sentence.
_SHORT = (
    r"dr|prof|mr|mrs|ms|vs|cf|e\.?g|i\.?e|approx|ca|figs?|pts?|resp|incl|excl|max|min|avg|ant|post|lat|sup|inf|prox|"
    r"dist"
)
_STOP = re.compile(r"(?<=[.!?])[)\"'”’]?\s+|[;\n\r]+|(?<=[a-z0-9][.!?])(?=[A-Z][a-z])")
_ENDS_SHORT = re.compile(rf"(?:\b(?:{_SHORT})\.|(?:^|\s)\(?\d{{1,2}}\.)$", re.IGNORECASE)
_INITIALS = re.compile(r"\b[a-z]\.\s?[a-z]\.$", re.IGNORECASE)  # a.m., p.o.; a sentence behind them has a capital
_MARK = re.compile(r"^\s*(?:[-*•–—·]+|\(?\d{1,2}[.)]|\(?[a-z]\))\s+")
_HEADING = re.compile(
    r"^\s*\**(?:findings?|impressions?|conclusions?|report|summary|assessment|comparison|technique|indication|opinion|"
    r"answer)\**\s*:\**\s*",
    re.IGNORECASE,
)


@bounded_cache
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, each once, without list marks and headings; none without a letter or digit.

    Full stops in numbers ("2.5 cm"), and behind abbreviations ("approx.") end no sentence. Two sentences are
    the same when they are equal after normalisation.
    """
    found: dict[str, str] = {}
    for sentence in _joined(_STOP.split(text)):
        bare = _HEADING.sub("", _MARK.sub("", sentence)).strip()
        if is_gradable(bare):
            found.setdefault(normalize_answer(bare), bare)
    return tuple(found.values())


def _joined(pieces: list[str]) -> list[str]:
    """Pieces with those joined again that an abbreviation or a number of a list has parted."""
    whole: list[str] = []
    for piece in pieces:
        goes_on = whole and (_ENDS_SHORT.search(whole[-1]) or (piece[:1].islower() and _INITIALS.search(whole[-1])))
        if goes_on:
            whole[-1] = f"{whole[-1]} {piece}"
        else:
            whole.append(piece)
    return whole
