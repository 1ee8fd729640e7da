"""Scores attempts within a budget of judge calls, and says which parts of the reward paid for one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

from medix_r1.errors import JudgeUnavailable
from medix_r1.grammar import ModalityTag
from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.scoring.attack.attempts import STANDARD, Attempt
from medix_r1.scoring.attack.journal import Journal, Outcome, key_of
from medix_r1.scoring.attack.wrong import Target
from medix_r1.scoring.composed import ReadyReward

UNSCORED = "unscored"
PAYS = 0.5  # values below it are a NO, as to `veto`
_MORE = 1e-3  # than is due
_GRADES_NOTHING = "-"  # an answer without letter or digit, which no signal about the answer may pay
_TAG_FORMS = ("all_tags", "wrong_tag_first", "tag_in_think", "tag_in_answer", "tag_behind")


class BudgetUsed(Exception):  # it ends the search and is no error
    """The next replies could need more calls than are left."""


class Scorer:
    """Scores attempts; known outcomes cost nothing.

    Args:
        ready: the reward.
        journal: the outcomes so far.
        budget: calls of the judge, of all commands on this journal together; of a reward without a judge, replies.
        in_flight: attempts scored concurrently.
        advance: called with the number of calls made.
    """

    def __init__(
        self, ready: ReadyReward, journal: Journal, budget: int, *, in_flight: int, advance: Callable[[int], None]
    ) -> None:
        self.ready, self.journal, self.budget = ready, journal, budget
        self._in_flight, self._advance = in_flight, advance
        judges = {id(one.judge): name for name, one in ready.composite.signals.items() if hasattr(one, "judge")}
        self._judges = tuple(judges.values())
        self._dearest = 1  # calls that one reply needed at most so far
        self._measured = False
        self._dues: dict[str, float] = {}
        self.form: frozenset[str] = frozenset()
        self.tag: frozenset[str] = frozenset()
        self.always: frozenset[str] = frozenset()

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return max(0, self.budget - self.journal.calls)

    def known(self, attempt: Attempt) -> Outcome | None:
        """The outcome of an attempt that was made."""
        return self.journal.outcomes.get(key_of(attempt.target.key, attempt.reply))

    async def score(self, attempts: Sequence[Attempt]) -> list[Outcome]:
        """Score attempts, as many at once as the budget certainly allows.

        Raises:
            BudgetUsed: what is left may not suffice; outcomes so far are kept.
            JudgeUnavailable: a server is down.
        """
        new = {key_of(one.target.key, one.reply): one for one in attempts if self.known(one) is None}
        waiting = list(new.items())
        while waiting:
            size = min(self._in_flight if self._measured else 1, self.left // self._dearest)
            if size < 1:
                raise BudgetUsed
            chunk, waiting = waiting[:size], waiting[size:]
            await self._score_chunk(chunk)
        return [found for one in attempts if (found := self.known(one)) is not None]

    async def _score_chunk(self, chunk: Sequence[tuple[str, Attempt]]) -> None:
        before = self._calls()
        breakdowns = await asyncio.gather(*(self._breakdown(attempt) for _, attempt in chunk))
        used = math.ceil(self._calls() - before) if self._judges else len(chunk)
        self._dearest = max(self._dearest, math.ceil(used / len(chunk)))
        self._measured = self._measured or used > 0
        self.journal.spend(used)
        self._advance(used)
        for (key, attempt), found in zip(chunk, breakdowns, strict=True):
            if found.outage:
                raise JudgeUnavailable(f"{found.failure}; the same command goes on from here", code="outage")
            parts = {name: part.value for name, part in found.parts.items()}
            about = {"question": attempt.target.question, "kind": attempt.kind, "reply": attempt.reply}
            self.journal.add(key, Outcome(found.total, parts, dict(found.weights), found.failure), about)

    async def _breakdown(self, attempt: Attempt) -> RewardBreakdown:
        return await self.ready.composite.score(attempt.sample(self.ready))

    def _calls(self) -> float:
        numbers = self.ready.composite.statistics()
        return sum(numbers.get(f"{name}/calls", 0.0) for name in self._judges)

    async def learn_forms(self, targets: Sequence[Target]) -> None:
        """Find out which parts pay for form: those that pay an answer of one dash, in the right form alone."""
        paid: dict[str, set[str]] = {}
        for form, attempts in _nothings(targets[:3]).items():
            outcomes = await self.score(attempts)
            paid[form] = set().union(*map(_paying, outcomes))
        self.form = frozenset(paid["right"] - paid["bare"])
        self.tag = frozenset(self.form - paid["wrong tag"])
        self.always = frozenset(paid["right"] & paid["bare"])

    async def learn_due(self, target: Target) -> None:
        """Find out what a wrong answer in the right form may earn: the reward of an answer that says nothing."""
        [found] = await self.score(_nothings([target])["right"])
        self._dues[target.key] = found.total or 0.0

    def due_of(self, attempt: Attempt) -> float:
        """What a wrong reply may earn: what its form is due, and by chance a share of the rest where it offers n."""
        due = 0.0 if attempt.breaks_form else self._dues.get(attempt.target.key, 0.0)
        return due if attempt.offered < 2 else due + (1.0 - due) / attempt.offered

    def paid(self, attempt: Attempt, found: Outcome) -> frozenset[str]:
        """The parts with weight that paid for an attempt, whose reply is wrong."""
        if found.total is None:
            return frozenset({UNSCORED}) if found.failure is not None else frozenset()
        if found.total <= self.due_of(attempt) + _MORE:
            return frozenset()
        counted = _paying(found)
        content = counted - self.form - self.always
        name = attempt.kind.removeprefix("form: ")
        if name in _TAG_FORMS:
            content |= counted & self.tag
        elif attempt.form != STANDARD and attempt.breaks_form:
            content |= counted & (self.form - self.tag)
        return frozenset(content)

    def rests_on(self, parts: frozenset[str]) -> str:
        """What the parts ask, as a file of probes names it."""
        signals = [self.ready.composite.signals[name] for name in parts if name in self.ready.composite.signals]
        judged = any(hasattr(one, "judge") for one in signals)
        embedded = any(hasattr(one, "embedder") for one in signals)
        return {(True, True): "both", (True, False): "judge", (False, True): "embedder"}.get(
            (judged, embedded), "nothing"
        )


def _paying(found: Outcome) -> set[str]:
    """The parts with weight that say YES."""
    return {name for name, weight in found.weights.items() if weight > 0 and (found.parts[name] or 0.0) >= PAYS}


def _nothings(targets: Sequence[Target]) -> Mapping[str, list[Attempt]]:
    """Answers that say nothing: in the right form, without any form, and with a wrong tag."""
    found: dict[str, list[Attempt]] = {"right": [], "bare": [], "wrong tag": []}
    for target in targets:
        other = next(one for one in ModalityTag if one != target.tag)
        forms = {"right": STANDARD, "bare": "{answer}", "wrong tag": STANDARD.replace("{tag}", f"<{other}>")}
        for name, form in forms.items():
            kind = f"nothing said: {name}"
            found[name].append(Attempt(target, kind, None, "says nothing", before=_GRADES_NOTHING, form=form))
    return found
