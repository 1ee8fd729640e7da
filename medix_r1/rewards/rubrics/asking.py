"""Asks a judge about criteria: one at a time, or several of one reply in a call once that is shown to give the same.

A batch saves calls, and its verdicts lean on each other. So the first batches are a trial: their criteria are asked one
at a time, too, and those verdicts count. Batches are believed when the agreement is certainly high enough, and never
when it is not. The trial takes few enough batches that all calls stay below 1.2 for each criterion.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cachetools import LRUCache
from scipy.special import betaincinv

from medix_r1 import prompts
from medix_r1.errors import JudgeError, JudgeRejected
from medix_r1.models.rubric import Criterion, criteria_prompt, criterion_prompt, read_criteria
from medix_r1.models.verdict import Judge, OpenQuestion, Question, Verdict, Writer

logger = logging.getLogger(__name__)

_REMEMBERED = 100_000  # cached texts, each with its criteria
_SPARE = 0.2  # most calls that a trial may spend, for each criterion that is asked
_CERTAIN = 0.05  # level of the one-sided confidence bound
_TOKENS = 8  # tokens of one line of the reply, such as `12 YES`
Outcome = Verdict | JudgeRejected
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Asked:
    """One criterion about one text.

    Attributes:
        question: what the reply answers.
        text: of the reply, as the judge reads it; never empty.
        criterion: what is looked for.
        images: of the question, where the judge sees them.
    """

    question: str
    text: str
    criterion: Criterion
    images: tuple[bytes, ...] = ()

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """What was said before the reply."""
        return (("user", self.question),) if self.question else ()


class Trial:
    """Whether batches give the verdicts of single calls.

    Args:
        pairs: verdicts that are compared before anything is said.
        agreement: what has to be exceeded by the lower end of the one-sided 95 % interval (Clopper-Pearson).
    """

    def __init__(self, *, pairs: int, agreement: float) -> None:
        self._wanted, self._agreement = pairs, agreement
        self.asked = self.spent = self.compared = self.agreed = 0

    @property
    def decided(self) -> bool:
        """Whether enough verdicts were compared."""
        return self.compared >= self._wanted

    @property
    def shown(self) -> bool:
        """Whether batches are believed."""
        return self.decided and self.lower > self._agreement

    @property
    def lower(self) -> float:
        """Lower end of the interval of the agreement."""
        if not self.agreed:
            return 0.0
        return float(betaincinv(self.agreed, self.compared - self.agreed + 1, _CERTAIN))

    def takes(self, criteria: int) -> bool:
        """Whether a batch of so many criteria, which are asked singly too, belongs to the trial: while it is cheap."""
        self.asked += criteria
        if self.decided or self.spent + 1 > _SPARE * self.asked:
            return False
        self.spent += 1
        return True

    def add(self, single: Sequence[Outcome], batch: Sequence[bool] | None) -> None:
        """Compare the verdicts of one batch; one that could not be read agrees in nothing, whenever that happens."""
        before = self.decided, self.shown
        for place, one in enumerate(single):
            if isinstance(one, Verdict):
                self.compared += 1
                self.agreed += batch is not None and batch[place] == one.matches
        if self.decided and (self.decided, self.shown) != before:
            says = "they are asked together" if self.shown else "they are asked one at a time"
            logger.warning(
                "criteria: %d of %d verdicts agree with single ones (at least %.3f, wanted %.3f); from now on %s",
                self.agreed,
                self.compared,
                self.lower,
                self._agreement,
                says,
            )


class CriteriaAsker:
    """Asks about criteria, with the judge's cache and deduplication.

    Args:
        judge: gives the verdicts; batches need one that can also write.
        template: text of the question about one criterion.
        per_call: criteria of a call, 1 for one at a time.
        trial: decides whether batches are believed.
    """

    def __init__(self, judge: Judge, *, template: str, per_call: int, trial: Trial) -> None:
        self._judge, self._template, self._per_call, self.trial = judge, template, per_call, trial
        self._list_template = prompts.load("criteria_list")
        self._tried: LRUCache[bytes, None] = LRUCache(_REMEMBERED)
        self.asked = self.lost = self.batched = 0

    async def ask(self, questions: Sequence[Asked]) -> list[Outcome]:
        """The verdicts in the order of the questions; a rejected one stands in its place.

        Raises:
            JudgeUnavailable: no server answers, which no single criterion is to blame for.
        """
        self.asked += len(questions)
        found: dict[int, Outcome] = {}
        parts = [self._part(part, questions) for part in self._parts(questions)]
        for places, outcomes in await _all(parts):
            found |= dict(zip(places, outcomes, strict=True))
        self.lost += sum(isinstance(outcome, JudgeRejected) for outcome in found.values())
        return [found[place] for place in range(len(questions))]

    def _parts(self, questions: Sequence[Asked]) -> list[list[int]]:
        """Places of the questions that share a call: those about one text, in their order. Pictures go alone."""
        by_text: dict[str, list[int]] = {}
        for place, one in enumerate(questions):
            by_text.setdefault(one.text, []).append(place)
        size = self._per_call if isinstance(self._judge, Writer) and not questions[0].images else 1
        return [places[start : start + size] for places in by_text.values() for start in range(0, len(places), size)]

    async def _part(self, places: list[int], questions: Sequence[Asked]) -> tuple[list[int], list[Outcome]]:
        chosen = [questions[place] for place in places]
        if len(chosen) == 1:
            return places, await self._singly(chosen)
        if self.trial.shown:
            if (batch := await self._together(chosen)) is not None:
                self.batched += len(chosen)
                return places, [Verdict(met, "in a batch: " + ("YES" if met else "NO")) for met in batch]
            single = await self._singly(chosen)
            self.trial.add(single, None)
            return places, single
        if self._is_new(chosen) and self.trial.takes(len(chosen)):
            batch = await self._together(chosen)
            single = await self._singly(chosen)
            self.trial.add(single, batch)
            return places, single
        return places, await self._singly(chosen)

    def _is_new(self, chosen: Sequence[Asked]) -> bool:
        """Whether these criteria were not asked about this text before: else the cache has them, at no new cost."""
        said = [chosen[0].question, chosen[0].text, *(one.criterion.text for one in chosen)]
        key = hashlib.blake2b("\x1f".join(said).encode(), digest_size=16).digest()
        if key in self._tried:
            return False
        self._tried[key] = None
        return True

    async def _singly(self, chosen: Sequence[Asked]) -> list[Outcome]:
        return await _all([self._one(one) for one in chosen])

    async def _one(self, asked: Asked) -> Outcome:
        text = criterion_prompt(self._template, asked.turns, asked.text, asked.criterion, max_chars=sys.maxsize)
        question = Question(asked.question, asked.criterion.text, asked.text, images=asked.images, text=text)
        try:
            return await self._judge.judge(question)
        except JudgeRejected as error:
            return error

    async def _together(self, chosen: Sequence[Asked]) -> tuple[bool, ...] | None:
        """The verdicts of one call; None where its reply cannot be read."""
        assert isinstance(self._judge, Writer)
        first, number = chosen[0], len(chosen)
        criteria = [one.criterion for one in chosen]
        text = criteria_prompt(self._list_template, first.turns, first.text, criteria, max_chars=sys.maxsize)
        sent = (first.question, first.text, *(criterion.text for criterion in criteria))
        question = OpenQuestion(
            text,
            _TOKENS * number,
            lambda reply: read_criteria(reply, number) is not None,
            f"a line with YES or NO for each of {number} criteria",
            sent,
            attempts=1,  # the criteria are asked singly then
        )
        try:
            return read_criteria(await self._judge.write(question), number)
        except JudgeRejected:
            return None

    def statistics(self) -> dict[str, float]:
        """Counters by name."""
        return {
            "criteria": float(self.asked),
            "criteria_lost": float(self.lost),
            "criteria_batched": float(self.batched),
            "trial_compared": float(self.trial.compared),
            "trial_agreed": float(self.trial.agreed),
        }


async def _all(waiting: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of all, once none is in flight any more; an outage goes before other errors."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()  # does nothing to those that are done
    failed = [error for task in tasks if (error := task.exception()) is not None]
    if failed:
        raise next((one for one in failed if isinstance(one, JudgeError)), failed[0])
    return [task.result() for task in tasks]
