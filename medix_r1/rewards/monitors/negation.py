"""Monitor `negation`: 0 when answer and reference contradict each other about a finding, 1 when they agree on it.

As in NegEx (Chapman et al. 2001, doi 10.1006/jbin.2001.1029), a negation covers the next few words up to the end of the
clause, or, for "absent" and similar words, the few words before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from medix_r1.errors import ConfigError
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import normalize_answer

_CLAUSE = re.compile(r"[.;:,!?\n]|(?<!\(s)\)|\b(?:but|however|although|though|except|with)\b")
_WORD = re.compile(r"[^\W_]+(?:'t)?")
_BEFORE = frozenset(("no", "not", "without", "denies", "denied", "negative", "never", "nor", "neither", "lacks"))
_BEFORE |= {"nothing", "isn't", "aren't", "wasn't", "doesn't", "don't", "didn't", "absence", "lack", "cannot"}
_BEHIND = frozenset(("absent", "excluded", "negative", "unlikely", "none"))
_PASSIVE = re.compile(
    r"\bnot (?:seen|present|visible|identified|detected|found|shown|evident|visuali[sz]ed)\b|\bruled out\b"
)
_FREE_OF = re.compile(r"\bfree (?:of|from)\b")
_LACK = re.compile(  # vitamin c deficiency
    r"(?<![^\W_])(?:[^\W_]{1,30} ){1,2}(?=(?:deficien|insufficien))"
    r"|(?<=deficient in )[^\W_]{1,30}(?: [^\W_](?![^\W_]))?"
)
_DENIED_LIST = re.compile(  # "no pneumothorax, effusion, or consolidation"
    r"\b(?:no|without|denies|negative for|free of)\b(?:(?!\b(?:but|with|however|and)\b)[^.;:\n]){1,120},?\s(?:or|nor)\b"
)
_BOUND = re.compile(r"\bno(?:t)? (?=(?:more|less|fewer|greater|larger|smaller|longer|later) than\b)")  # denies nothing
_LABEL = re.compile(r":\s?(?=(?:absent|negative|none|not (?:seen|present))\b)|:\s?no$")  # "fracture: absent"
_HYPHEN = re.compile(r"\bnon[ -](?=[^\W\d_])")
_PREFIXED = re.compile(  # "noncontrast", "undisplaced", "afebrile"
    r"^(?:(?:non|un)(?=[^\W\d_]{5})|a(?=symptomatic|febrile|typical|septic)|ab(?=normal$)|ir(?=regular|reversible)"
    r"|in(?=complete|visible|active|operable|significant|competent|adequate|dependent$)|im(?=mature|mobile|palpable))"
)
_FILLING = (
    "a an the of in on at to is are was were be been there this that it its for any evidence sign signs and or image "
    "seen present visible identified detected found shown evident show shows patient yes"
)
_EMPTY = frozenset(_FILLING.split())
_VERDICT = re.compile(r"(yes|no)(?:$|[.,;:!])")
_NOTHING_SHARED = Score(None, "no finding is named by both")
_NOTHING_DENIED = Score(None, "nothing that both name is denied")


class NegationMonitor:
    """0 when a finding that both name is affirmed by one and denied by the other, else 1. English only.

    Where both begin with yes or no, only these are compared. Not applicable when answer and reference name no common
    finding, or when neither denies one.

    Args:
        scope: how many words a negation covers, at least 1.

    Raises:
        ConfigError: `scope` is below 1.
    """

    def __init__(self, *, scope: int = 6) -> None:
        if scope < 1:
            raise ConfigError.of("reward.signals.negation.scope", "out-of-range", f"{scope} must be at least 1")
        self.scope = scope

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if not answer:
            return Score(None, "no answer")
        return _compare(answer, sample.reference.answer, self.scope)


@bounded_cache
def _compare(answer: str, reference: str, scope: int) -> Score:
    said, right = _leading_verdict(answer), _leading_verdict(reference)
    if said and right:
        return Score(float(said == right), f"{said}, the reference says {right}")
    given, wanted = findings(answer, scope), findings(reference, scope)
    shared = sorted(given.keys() & wanted.keys())
    if not shared:
        return _NOTHING_SHARED
    if not any(given[word] or wanted[word] for word in shared):
        return _NOTHING_DENIED
    against = [word for word in shared if given[word] != wanted[word]]
    reason = f"contradiction about {', '.join(against[:3])}" if against else f"agree on {', '.join(shared[:3])}"
    return Score(float(not against), reason)


def _kept_negation(match: re.Match[str]) -> str:
    """What is lacking is neither affirmed nor denied; a negation in front of it holds for the deficiency."""
    return " ".join(word for word in match[0].split() if word in _BEFORE) + " "


@bounded_cache
def findings(text: str, scope: int) -> Mapping[str, bool]:
    """Word → whether it is denied everywhere, for all words but stop words and negations."""
    found: dict[str, bool] = {}
    spelled = "\n".join(normalize_answer(line) for line in text.splitlines())
    if "," in spelled:
        spelled = _DENIED_LIST.sub(lambda match: match[0].replace(",", ""), spelled)
    if "ficien" in spelled:  # deficient, insufficiency
        spelled = _LACK.sub(_kept_negation, spelled)
    spelled = _LABEL.sub(_absent, _BOUND.sub("", spelled))
    for clause in _CLAUSE.split(spelled):
        words = _WORD.findall(_HYPHEN.sub("non", _FREE_OF.sub("without", _PASSIVE.sub("absent", clause))))
        words = [word for word in words if word not in _EMPTY]  # they do not count for the scope
        denied: set[int] = set()
        for place, word in enumerate(words):
            if word in _BEFORE:
                denied |= set(range(place + 1, place + 1 + scope))
            if word in _BEHIND:
                affirmed = max((at + 1 for at in range(place) if words[at] == "positive"), default=0)
                denied |= set(range(max(affirmed, place - scope), place))
        for place, word in enumerate(words):
            if word in _BEFORE or word in _BEHIND:
                continue
            bare = _PREFIXED.sub("", word)
            found[bare] = found.get(bare, True) and ((place in denied) != (bare != word))
    return found


def _absent(match: re.Match[str]) -> str:
    return " " if match.end() < len(match.string) else " absent"


@bounded_cache
def _leading_verdict(text: str) -> str | None:
    """`yes` or `no` when it is the whole text or punctuation follows, else None."""
    match = _VERDICT.match(normalize_answer(text))
    return match[1] if match else None
