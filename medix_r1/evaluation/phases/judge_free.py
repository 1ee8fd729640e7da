"""Scores without a judge: of empty answers, of unambiguous options, and by the user's own scorer."""

from __future__ import annotations

import functools
from collections.abc import Callable

from medix_r1.errors import EvaluationError
from medix_r1.evaluation.benchmarks.items import Item
from medix_r1.evaluation.benchmarks.preference import agreement_with_people
from medix_r1.evaluation.benchmarks.tasks import load_scorer
from medix_r1.evaluation.phases.replies import Reply, option_letter
from medix_r1.models.reading.faults import why
from medix_r1.wording.spelling import is_gradable

UserScorer = Callable[[Item, Reply], float | None]


def judge_free_score(item: Item, reply: Reply, scorer: str) -> float | None:
    """Score without a judge, in [0, 1]; None where the judge has to vote.

    An empty answer scores 0. Otherwise the task's own scorer decides, if it has one; then an unambiguous option letter.

    Raises:
        EvaluationError: the user's scorer raised, or returned a number outside of [0, 1].
    """
    if not is_gradable(reply.answer):
        return 0.0
    assert reply.answer is not None
    if scorer == "preference":
        return agreement_with_people(reply.answer, item.reference)
    own = _own_score(item, reply, scorer)
    if own is not None or item.letter is None:
        return own
    letter = option_letter(reply.answer, item.choices)
    return None if letter is None else float(letter == item.letter)


def _own_score(item: Item, reply: Reply, scorer: str) -> float | None:
    function = _load(scorer)
    if function is None:
        return None
    try:
        score = function(item, reply)
        number = None if score is None else float(score)
    except Exception as error:  # user code may raise anything
        raise EvaluationError(f"{scorer} raised {why(error, item.texts).text}", code="raised") from error
    if number is not None and not 0.0 <= number <= 1.0:
        raise EvaluationError(f"{scorer} gave {number}; a score is in [0, 1]", code="out-of-range")
    return number


@functools.cache
def _load(scorer: str) -> UserScorer | None:
    loaded: UserScorer | None = load_scorer(scorer, "scorer")
    return loaded
