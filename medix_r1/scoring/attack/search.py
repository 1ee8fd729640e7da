"""The search: wrong answers alone, every mutation with what a model proposes between them, then chance."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice

from medix_r1.scoring.attack.attempts import PLAIN, Attempt, plain, texts
from medix_r1.scoring.attack.explainer import Explainer, State
from medix_r1.scoring.attack.journal import Outcome
from medix_r1.scoring.attack.kinds import Example, Kind
from medix_r1.scoring.attack.mutations import Carrier, Room, mutations
from medix_r1.scoring.attack.scorer import BudgetUsed, Scorer
from medix_r1.scoring.attack.wrong import Target, others_of_a_kind, words_of, wrong_answers
from medix_r1.wording.parts import split

# What may stand around these wrong answers without making them right: "not the left lung" may be the right lung.
_CARRY = ("another_reference", "another_option", "nonsense")
_BATCH = 32
_MOST_BY_CHANCE = 20  # draws for each call of the budget
_MOST_THINGS = 16  # in a list

Proposals = Callable[["Search"], Awaitable[list[Attempt]]]


class Search:
    """Attacks a reward.

    Args:
        scorer: scores within the budget.
        targets: the questions.
        pool: right answers to all questions, without tags.
        seed: of all draws; the same search makes the same tries.
        longest: bytes of an answer that the reward still reads.
        proposals: asks a model for attempts; None without one.
    """

    def __init__(
        self,
        scorer: Scorer,
        targets: Sequence[Target],
        pool: Sequence[str],
        *,
        seed: int,
        longest: int,
        proposals: Proposals | None = None,
    ) -> None:
        self.scorer, self.targets, self._pool, self._proposals = scorer, targets, pool, proposals
        self.state = State(scorer, random.Random(seed), Room(longest))
        self._explainer = Explainer(self.state)
        self._values: dict[str, list[float]] = {}  # text around an answer → the best value that it was given
        self.plain_tried = self.plain_paid = 0

    async def run(self) -> None:
        """Search until the budget is used; the kinds found so far are in `state` at any time."""
        try:
            await self._baselines()
            if self.state.carriers:
                words = words_of(text for target in self.targets for text in (target.question, *self._pool))
                for mutation in mutations(self._wrong_things, words):
                    await self._sweep(mutation(self.state.carriers, self.state.room, self.state.rng))
                    await self._sweep_proposals()
                while await self._sweep_proposals():
                    pass
                await self._sweep(self._by_chance())
        except BudgetUsed:
            return
        finally:
            for kind in self.state.kinds:  # what cannot be tried elsewhere as it is was tried in its other forms
                if kind.tried < 2 and kind.name in self.state.tries:
                    kind.tried, kind.paid = self.state.tries[kind.name], self.state.hits[kind.name]

    async def _sweep_proposals(self) -> bool:
        """Try what a model proposes next; False when it proposes nothing more."""
        proposed = await self._proposals(self) if self._proposals is not None else []
        await self._sweep(proposed)
        return bool(proposed)

    def _wrong_things(self, target: Target) -> Sequence[str]:
        return list(islice(others_of_a_kind(target, self._pool), _MOST_THINGS))

    async def _baselines(self) -> None:
        """Wrong answers with nothing around them: those that earn nothing carry the mutations."""
        await self.scorer.learn_forms(self.targets)
        silent: list[Attempt] = []
        for target in self.targets:
            await self.scorer.learn_due(target)
            silent += [plain(target, one) for one in wrong_answers(target, self._pool, self.state.rng)]
        tried: dict[str, list[Example]] = {}
        for attempt, outcome in zip(silent, await self.scorer.score(silent), strict=True):
            example = Example(attempt, outcome, self.scorer.paid(attempt, outcome))
            tried.setdefault(attempt.kind, []).append(example)
            can_carry = attempt.wrong is not None and attempt.wrong.how in _CARRY and _takes_texts(attempt.target)
            if can_carry and not example.parts and attempt.wrong is not None:
                self.state.carriers.append(Carrier(attempt.target, attempt.wrong))
        self._mix_carriers()
        for name, examples in tried.items():
            self._add_plain(name, examples)

    def _mix_carriers(self) -> None:
        """A made-up word and a real thing by turns."""
        made_up = [one for one in self.state.carriers if one.wrong.how == "nonsense"]
        real = [one for one in self.state.carriers if one.wrong.how != "nonsense"]
        self.state.rng.shuffle(made_up)
        self.state.rng.shuffle(real)
        mixed = [one for pair in zip(made_up, real, strict=False) for one in pair]
        self.state.carriers = [*mixed, *(one for one in (*made_up, *real) if one not in mixed)]

    def _add_plain(self, name: str, examples: Sequence[Example]) -> None:
        hits = [one for one in examples if one.parts]
        self.plain_tried += len(examples)
        self.plain_paid += len(hits)
        if hits:
            parts = frozenset().union(*(hit.parts for hit in hits))
            kind = Kind(name, PLAIN, parts, tried=len(examples), paid=len(hits))
            self.state.count(kind, hits)
            for hit in hits:
                kind.add(hit, PLAIN)
            self.state.kinds.append(kind)

    async def _sweep(self, attempts: Iterable[Attempt]) -> None:
        """Score attempts in batches and explain those that pay."""
        source = iter(attempts)
        while batch := list(islice(source, _BATCH)):
            batch = [one for one in batch if self.state.is_of_use(one)]
            for attempt, outcome in zip(batch, await self.scorer.score(batch), strict=True):
                self._remember(attempt, outcome)
                self.state.tries[attempt.kind] += 1
                if parts := self.scorer.paid(attempt, outcome):
                    self.state.hits[attempt.kind] += 1
                    await self._explainer.explain(attempt, outcome, parts)

    def _remember(self, attempt: Attempt, outcome: Outcome) -> None:
        fixed = self.scorer.form | self.scorer.always
        values = [outcome.parts[name] or 0.0 for name, one in outcome.weights.items() if one > 0 and name not in fixed]
        for text in {attempt.before, attempt.after} - {""}:
            self._values.setdefault(text, []).append(max(values, default=0.0))

    def _by_chance(self) -> Iterator[Attempt]:
        """Two texts around a wrong answer, drawn by what they gave before."""
        lists = texts()
        fronts = [f"{text} " for text in (*lists["openings"], *lists["instructions"])]
        backs = [f" {text}" for text in (*lists["endings"], *lists["instructions"], *lists["phrases"])]
        for _ in range(_MOST_BY_CHANCE * self.scorer.budget):  # many may be known or of no use
            carrier = self.state.rng.choice(self.state.carriers)
            before, after = self._draw(fronts), self._draw(backs)
            yield Attempt(carrier.target, "chance", carrier.wrong, carrier.wrong.because, before=before, after=after)

    def _draw(self, pieces: Sequence[str]) -> str:
        few = self.state.rng.sample(pieces, 4)
        return max(few, key=lambda text: max(self._values.get(text, [0.0])) + 0.05 * self.state.rng.random())


def _takes_texts(target: Target) -> bool:
    """Whether texts around a wrong answer leave it wrong: not where yes or no, or an absence, is right."""
    return not target.is_verdict and not any(part.denied for part in split(target.answer))
