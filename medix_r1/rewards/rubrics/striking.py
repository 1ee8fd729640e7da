"""Takes out of an answer what rules know to be no answer, before a judge is asked about a criterion.

Struck are: talk to the judge (addressed.py); a criterion of the rubric recited as it is written about the reply
("Recommends a follow-up in two weeks"); a statement together with its own denial; and sentences said before. What is
struck can earn nothing, whatever the judge would say of it, because no judge reads it.

A text that costs points must not profit from this. So there are two views of an answer: criteria that earn points are
asked about the one without recitals and contradictions, criteria that cost points about the one that keeps them, and so
are those that earn points for what is absent ("Avoids ..."). Talk and repetitions are in neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from medix_r1.models.rubric import Criterion
from medix_r1.rewards.rubrics.addressed import is_talk, spoken, words
from medix_r1.wording.spelling import compatibility_form, is_gradable

_SENTENCE = re.compile(r"(?<=[.!?;]) | (?=[-*•] )| (?=\d{1,3}[.)] )")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_VERDICT = re.compile(r"\W*(?:yes|true|met|done|ok|okay|check|checked|pass|passed|\d{1,3})?\W*", re.IGNORECASE)
_LONG_ENOUGH = 4  # words; a reply that repeats a criterion of this length recites it
_NEGATIONS, _EMPTY, _ABOUT_REPLY = (words(name) for name in ("negations", "empty", "about_reply"))
_SUBJECT = re.compile(
    r"^(?:the |this |its? )?(?:response|reply|answer|assistant|model|completion|report|text)\s+", re.IGNORECASE
)
_ABSENT = re.compile(
    r"^(?:(?:the |this )?(?:response|reply|answer|assistant|model|completion|report|text)\s+)?"
    r"(?:avoids?|refrains?|omits?|excludes?|rejects?|does not|doesn't|do not|is not|isn't|never|no|not|without|free)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Views:
    """What a judge reads of an answer.

    Attributes:
        earning: for criteria that earn points.
        costing: for criteria that cost points, and for those that earn some for what is absent.
        struck: why something was taken out, each reason once.
    """

    earning: str
    costing: str
    struck: tuple[str, ...] = ()

    def of(self, criterion: Criterion) -> str:
        """The text that is asked about a criterion; empty where nothing is left."""
        return self.costing if criterion.points < 0 or _ABSENT.match(criterion.text) else self.earning


def unstruck(answer: str) -> Views:
    """Both views are the answer."""
    return Views(answer, answer)


@lru_cache(maxsize=4096)  # the rollouts of a group often give equal answers
def struck(answer: str, criteria: tuple[Criterion, ...]) -> Views:
    """The views of an answer, in time linear in its length for each criterion.

    Args:
        answer: as the reply has it.
        criteria: of the row's rubric.
    """
    plain = compatibility_form(_INVISIBLE.sub("", answer))
    said = spoken(plain)
    lines = (" ".join(line.split()) for line in said.splitlines())
    sentences = [part for line in lines for part in _SENTENCE.split(line) if part]
    reasons = ["a forged prompt or verdict"] if said != plain else []
    kept, seen = [], set[tuple[str, ...]]()
    for sentence in sentences:
        told = _words(sentence)
        if is_talk(sentence):
            reasons.append("talk to the judge")
        elif len(told) >= _LONG_ENOUGH - 1 and told in seen:
            reasons.append("repetitions")
        else:
            kept.append(sentence)
        seen.add(told)
    absent = [criterion for criterion in criteria if criterion.points > 0 and _ABSENT.match(criterion.text)]
    if claimed := _with_verdicts(_recited(kept, absent), kept):  # a claim about the reply, which no view may hold
        reasons.append("recited criteria")
        kept = [one for place, one in enumerate(kept) if place not in claimed]
    recited = _with_verdicts(_recited(kept, criteria), kept)
    denied = _denied(kept)
    reasons += ["recited criteria"] * bool(recited) + ["contradictions"] * bool(denied)
    if not reasons:
        return unstruck(answer)
    earning = [one for place, one in enumerate(kept) if place not in recited | denied]
    return Views(_joined(earning), _joined(kept), tuple(dict.fromkeys(reasons)))


def _joined(sentences: Sequence[str]) -> str:
    text = " ".join(sentences)
    return text if is_gradable(text) else ""


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORDS.findall(text.lower().replace("’", "'")))


def _recited(sentences: Sequence[str], criteria: Sequence[Criterion]) -> set[int]:
    """Places of the sentences that hold the wording of a criterion about the reply, even one spread over several."""
    told = [(word, place) for place, sentence in enumerate(sentences) for word in _words(sentence)]
    text = " ".join(["", *(word for word, _ in told), ""])
    found: set[int] = set()
    for criterion in criteria:
        looked_for = _words(_SUBJECT.sub("", criterion.text))
        if len(looked_for) < _LONG_ENOUGH or looked_for[0] not in _ABOUT_REPLY:
            continue
        wanted = f" {' '.join(looked_for)} "
        start = text.find(wanted)
        while start >= 0:
            first = text.count(" ", 0, start)
            found |= {place for _, place in told[first : first + len(looked_for)]}
            start = text.find(wanted, start + len(wanted) - 1)
    return found


def _with_verdicts(places: set[int], sentences: Sequence[str]) -> set[int]:
    """The places of recited criteria, with those of the bare verdicts that stand between them."""
    return places | {place for place, one in enumerate(sentences) if places and _VERDICT.fullmatch(one)}


def _denied(sentences: Sequence[str]) -> set[int]:
    """Places of the statements that the answer also denies in the same words, and of the denials."""
    sides: dict[tuple[str, ...], dict[bool, list[int]]] = {}
    for place, sentence in enumerate(sentences):
        if sentence.rstrip().endswith("?"):
            continue
        said = _words(sentence)
        negations = sum(word in _NEGATIONS or word.endswith("n't") for word in said)
        small = _NEGATIONS | _EMPTY
        core = tuple(word for word in said if not (word in small or word.endswith("n't")))
        if core:
            sides.setdefault(core, {}).setdefault(bool(negations % 2), []).append(place)
    return {place for both in sides.values() if len(both) == 2 for places in both.values() for place in places}
