"""Monitor: does the reasoning lead to the answer? By rules alone; a policy may think one thing and answer another."""

from __future__ import annotations

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.comparing import akin
from medix_r1.wording.parts import split
from medix_r1.wording.spelling import is_gradable, normalize_answer
from medix_r1.wording.synonyms import are_synonyms
from medix_r1.wording.terms import KINDS, content, plain_stem, stem

_NOTHING_SAID = Score(None, "no reasoning or no answer")
_VERDICT = Score(None, "an answer of yes or no has no word to look for")


class ConclusionMonitor:
    """The share of the answer's words that the reasoning has, and 0 where its last word of a kind is another one.

    "It is the left lung" and "left lung" agree; "it may be left, no, it is the right lung" and "left lung" do not.
    Names of one thing count as one, as far as wording/ knows them. An answer of yes or no has no value.
    """

    def score(self, sample: Sample) -> Score:
        think, answer = sample.completion.think, sample.completion.answer
        if not is_gradable(think) or not is_gradable(answer):
            return _NOTHING_SAID
        return _compare(think or "", answer or "")


@bounded_cache
def _compare(think: str, answer: str) -> Score:
    wanted = content(normalize_answer(answer))
    if not wanted or wanted[0] in ("yes", "no"):
        return _VERDICT
    said = content(normalize_answer(think))
    for word in wanted:
        if (last := _last_of_a_kind(word, said)) is not None and last != word:
            return Score(0.0, f"the reasoning ends with {last!r}, the answer says {word!r}")
    stems = {stem(word) for word in said}
    there = [word for word in wanted if stem(word) in stems or any(akin(stem(word), one) for one in stems)]
    missing = [word for word in wanted if word not in there]
    if missing and _is_named_otherwise(answer, think):
        return Score(1.0, "the reasoning has another name of the answer")
    says = f"{len(there)} of {len(wanted)} words of the answer are in the reasoning"
    return Score(len(there) / len(wanted), f"{says}; not there: {', '.join(missing)}" if missing else says)


def _last_of_a_kind(word: str, said: tuple[str, ...]) -> str | None:
    """The last word of the reasoning that excludes this one or is it, such as left and right; None without any."""
    kinds = KINDS.get(word)
    if kinds is None:
        return None
    return next((one for one in reversed(said) if KINDS.get(one, frozenset()) & kinds), None)


def _is_named_otherwise(answer: str, think: str) -> bool:
    wanted = split(answer)
    if len(wanted) != 1:
        return False
    words = tuple(map(plain_stem, content(normalize_answer(think))))
    sizes = range(1, min(5, len(words)) + 1)
    phrases = (words[start : start + size] for size in sizes for start in range(len(words) - size + 1))
    return any(are_synonyms(phrase, wanted[0].plain) for phrase in phrases)
