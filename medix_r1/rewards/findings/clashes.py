"""What rules say about two findings: whether they speak of the same thing, whether they clash, what is normal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from medix_r1.grammar import Completion, Reference
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample
from medix_r1.rewards.monitors.grade import GradeMonitor
from medix_r1.rewards.monitors.laterality import LateralityMonitor
from medix_r1.rewards.monitors.negation import NegationMonitor, findings
from medix_r1.rewards.monitors.numeric import NumericMonitor
from medix_r1.wording.numbers.quantities import quantities
from medix_r1.wording.spelling import normalize_answer
from medix_r1.wording.terms import content, stem

Kind = Literal["side", "negation", "size"]
_SHARED = 0.5  # share of the shorter finding's words that both have, for them to speak of one thing
_SIDES = frozenset({"left", "right", "bilateral", "bilaterally", "both"})
_SAYS_NOTHING = (
    "normal unremarkable intact clear seen noted present absent identified evidence finding demonstrated no not "
    "without small large mild moderate severe minimal tiny trace marked there is are mm cm ml cc hu"
)
_NO_TOPIC = _SIDES | {*_SAYS_NOTHING.split()}
_NORMAL = re.compile(
    r"\b(?:normal|unremarkable|intact|within normal limits|negative)\b"
    r"|\b(?:is|are|remains?|appears?) (?:well |grossly )?(?:clear|preserved|patent|maintained)\b"
    r"|^(?:the |both )?(?:[^\W\d_]+ ){0,3}clear$"
)
_SMALL = re.compile(r"\b(?:small|tiny|trace|minimal|slight)\b")
_LARGE = re.compile(r"\b(?:large|huge|massive|extensive)\b")
_BUT = re.compile(r"\b(?:abnormal|not|but|with|except|however|although|apart from|other than)\b")
_SIDE, _GRADE, _NUMBER = LateralityMonitor(), GradeMonitor(), NumericMonitor()
_NEGATION = NegationMonitor()


@bounded_cache
def topic(finding: str) -> frozenset[str]:
    """Stems of the words that say what a finding is about: no sides, sizes, numbers or words of every report."""
    words = re.findall(r"[^\W\d_]{2,}", normalize_answer(finding))
    return frozenset(stem(word) for word in words if word not in _NO_TOPIC and content(word))


def same_topic(one: str, other: str) -> bool:
    """Whether two findings share at least half of the words of the shorter one."""
    a, b = topic(one), topic(other)
    return bool(a and b) and len(a & b) >= _SHARED * min(len(a), len(b))


@bounded_cache
def clash(said: str, wanted: str) -> Kind | None:
    """How two findings about one thing contradict each other: in their side, in a negation, or in a size or grade."""
    sample = Sample(Completion(said, None, None, said, ()), Reference(None, wanted))
    denied = _NEGATION.score(sample).value == 0.0
    other_side = _SIDE.score(sample).value == 0.0
    if denied or other_side:
        # "No left effusion" says nothing against "right effusion".
        return None if denied and other_side else "negation" if denied else "side"
    other_grade = _GRADE.score(sample).value == 0.0
    other_number = bool(quantities(said)) and _NUMBER.score(sample).value == 0.0
    return "size" if other_grade or other_number or {_size(said), _size(wanted)} == {"small", "large"} else None


def _size(finding: str) -> str | None:
    text = normalize_answer(finding)
    small, large = bool(_SMALL.search(text)), bool(_LARGE.search(text))
    return None if small == large else "small" if small else "large"


def clash_with(finding: str, report: Sequence[str]) -> Kind | None:
    """The clash of a finding with a report: with all of its findings about the same thing, if there are any.

    One of them that does not clash is enough for None: a report may name an effusion on each side.
    """
    kinds = [clash(finding, other) for other in report if same_topic(finding, other)]
    return kinds[0] if kinds and all(kinds) else None


@bounded_cache
def is_normal(finding: str) -> bool:
    """Whether a finding only says that something is as it should be: normal, clear, or absent. English only."""
    text = normalize_answer(finding)
    if _NORMAL.search(text) and not _BUT.search(text):
        return True
    named = [denied for word, denied in findings(finding, _NEGATION.scope).items() if len(word) > 1]
    return bool(named) and all(named)
