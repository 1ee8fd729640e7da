"""Turns an attack that pays into a kind: what pays, where it has to stand, and on how many questions it does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from medix_r1.scoring.attack.attempts import Attempt
from medix_r1.scoring.attack.explaining import (
    counted,
    filled,
    greatest_length,
    is_short,
    least_length,
    piece_of,
    placed,
    smallest,
)
from medix_r1.scoring.attack.journal import Outcome
from medix_r1.scoring.attack.kinds import Example, Kind
from medix_r1.scoring.attack.mutations import Carrier, Room
from medix_r1.scoring.attack.scorer import UNSCORED, BudgetUsed, Scorer
from medix_r1.scoring.attack.shapes import class_of, in_shape, others_of, shape_of
from medix_r1.scoring.attack.wrong import Target

_ELSEWHERE = 5  # further questions on which a kind is tried
_FEWEST_CHARACTERS = 4  # around an answer whose length may pay
_FORMS = ("form", "reasoning")  # mutations that change more than the answer

Pays = Callable[[Attempt], Awaitable[bool]]


@dataclass
class State:
    """What a search knows.

    Attributes:
        scorer: scores within the budget.
        rng: of all draws.
        room: how long an answer may be.
        kinds: what pays, in the order of finding.
        carriers: wrong answers that earn nothing by themselves.
        short: answers of up to so many characters pay by themselves.
        tries, hits: how often each mutation was tried, and paid.
    """

    scorer: Scorer
    rng: random.Random
    room: Room
    kinds: list[Kind] = field(default_factory=list)
    carriers: list[Carrier] = field(default_factory=list)
    short: int = 0
    tries: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)

    def is_of_use(self, attempt: Attempt) -> bool:
        """Whether the answer is wrong with certainty, can be read, and tells more than a known length does."""
        short = attempt.wrong is None and len(attempt.answer) <= self.short
        return is_wrong(attempt) and self.room.takes(attempt) and not short

    def count(self, kind: Kind, hits: Iterable[Example]) -> None:
        """Add what attacks earned to the figures of their kind."""
        for hit in hits:
            kind.dues.append(self.scorer.due_of(hit.attempt))
            if hit.outcome.total is not None:
                kind.rewards.append(hit.outcome.total)


def is_wrong(attempt: Attempt) -> bool:
    """Whether nothing around the wrong answer, or in what it was rewritten to, may be right."""
    free = attempt.target.is_free_of_right
    return free(attempt.around) and (attempt.written is None or attempt.offered > 1 or free(attempt.written))


class Explainer:
    """Explains attacks that pay, one after the other."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def explain(self, attempt: Attempt, outcome: Outcome, parts: frozenset[str]) -> None:
        """Add an attack that pays to its kind, which is found out first if it is new.

        Raises:
            BudgetUsed: in the middle; the attack is a kind of its own then, unexplained, unless its kind is there.
        """
        known = len(self._state.kinds)
        try:
            await self._explain(attempt, outcome, parts)
        except BudgetUsed:
            if len(self._state.kinds) == known:
                kind = Kind(attempt.kind, attempt.kind.partition(":")[0], parts, tried=1, paid=1)
                example = Example(attempt, outcome, parts)
                kind.add(example, kind.group)
                self._state.count(kind, [example])
                self._state.kinds.append(kind)
            raise

    async def _explain(self, attempt: Attempt, outcome: Outcome, parts: frozenset[str]) -> None:
        example, group = Example(attempt, outcome, parts), attempt.kind.partition(":")[0]

        async def pays(candidate: Attempt) -> bool:
            return await self._pays(candidate, parts)

        lengths = [kind for kind in self._state.kinds if kind.group == "length" and parts <= kind.parts]
        if lengths and not self._state.is_of_use(attempt):  # of the same batch as the one that has shown it
            return lengths[-1].add(example, group)
        known = await self._known(attempt, pays)
        if isinstance(known, Kind):
            return known.add(example, group)
        attempt = known
        if group in _FORMS or parts <= {UNSCORED}:
            return await self._add_whole(example, group)
        if await self._is_length(attempt, parts, pays, group):
            return None
        if attempt.written is not None:
            apart = _without_reference(attempt, self._carrier_of(attempt.target))
            if apart is None or not await pays(apart):
                return await self._add_whole(example, group)
            attempt = apart
        return await self._add_text(await smallest(attempt, pays), parts, group, pays)

    async def _pays(self, attempt: Attempt, parts: frozenset[str]) -> bool:
        """Whether an attempt is paid by one of these parts; False for one that is not wrong with certainty."""
        if not attempt.answer.strip() or not self._state.is_of_use(attempt):
            return False
        [outcome] = await self._state.scorer.score([attempt])
        return bool(self._state.scorer.paid(attempt, outcome) & parts)

    async def _known(self, attempt: Attempt, pays: Pays) -> Kind | Attempt:
        """The kind that explains an attempt; else the attempt without all that known kinds are paid for."""
        for kind in self._state.kinds:
            if kind.name == attempt.kind:
                return kind
            rest = kind.without(attempt)
            if rest is not None:
                if not await pays(rest):
                    return kind
                attempt = rest
        return attempt

    def _carrier_of(self, target: Target) -> Carrier | None:
        return next((one for one in self._state.carriers if one.target is target), None)

    async def _is_length(self, attempt: Attempt, parts: frozenset[str], pays: Pays, group: str) -> bool:
        """Whether text without meaning pays as well; then the length is the kind, and longer answers show nothing."""
        state = self._state
        whole = attempt.wrong is None or attempt.written is not None
        size = len(attempt.answer if whole else attempt.around.strip())
        letters = "".join(carrier.wrong.text for carrier in state.carriers[:8])
        if is_short(attempt):
            if (longest := await greatest_length(attempt, letters, pays, state.rng)) < 1:
                return False
            state.short = max(state.short, longest)
            kind = Kind(f"any answer of up to {longest} characters", "length", parts)
            shown = [filled(attempt, longest, letters, state.rng)]
            again = [replace(shown[0], target=one.target) for one in self._elsewhere(attempt.target)]
        else:
            if size < _FEWEST_CHARACTERS or not await pays(filled(attempt, size, letters, state.rng)):
                return False
            least = await least_length(attempt, size, letters, pays, state.rng)
            shown = [filled(attempt, least, letters, state.rng)]
            length = len(shown[0].answer)
            kind = Kind(f"any answer of at least {length} characters", "length", parts)
            state.room.characters = min(state.room.characters, len(shown[0].answer.encode()) - 1)
            again = [
                filled(replace(shown[0], target=one.target, wrong=one.wrong), length, letters, state.rng)
                for one in self._elsewhere(attempt.target)
            ]
        await self._settle(kind, [*shown, *again], group)
        return True

    async def _add_whole(self, example: Example, group: str) -> None:
        attempt = example.attempt
        again = []
        if attempt.written is None:
            again = [attempt.on(one.target, one.wrong) for one in self._elsewhere(attempt.target)]
        await self._settle(Kind(attempt.kind, group, example.parts), [attempt, *again], group)

    async def _add_text(self, attempt: Attempt, parts: frozenset[str], group: str, pays: Pays) -> None:
        """Name a kind by the smallest text that pays, and see where else it pays."""
        piece, carrier = piece_of(attempt), self._carrier_of(attempt.target)
        if not piece:
            return await self._settle(Kind(attempt.kind, group, parts), [attempt], group)
        if carrier is not None and (many := await counted(piece, carrier, pays, self._state.rng)) is not None:
            token, times, shown = many
            again = [shown.on(one.target, one.wrong) for one in self._elsewhere(attempt.target)]
            kind = Kind(f"has {token!r} at least {times} times", group, parts, piece=token)
            return await self._settle(kind, [shown, *again], group)
        places: list[str] = []
        if carrier is not None and not (attempt.before and attempt.after):
            places = [where for where in ("in front", "behind", "alone") if await pays(placed(piece, where, carrier))]
        kind = await self._named(attempt, piece, places, parts, group, pays)
        again = [self._moved(attempt, kind, piece, places, one) for one in self._elsewhere(attempt.target)]
        return await self._settle(kind, [attempt, *again], group)

    async def _named(
        self, attempt: Attempt, piece: str, places: Sequence[str], parts: frozenset[str], group: str, pays: Pays
    ) -> Kind:
        beside = [where for where in places if where != "alone"]
        place = "anywhere" if len(beside) == 2 else [*beside, *places, "as it is"][0]
        words = set(piece.lower().split())
        if len(words) > 2 and words <= set(attempt.target.question.lower().split()):
            return Kind(f"repeats the question, {place}", group, parts, place=place, question=True)
        characters, carrier = None, self._carrier_of(attempt.target)
        if places and carrier is not None and (others := others_of(piece)):
            same = [await pays(placed(other, places[0], carrier)) for other in others]
            characters = class_of(piece) if all(same) else None
        shape = None
        if places and carrier is not None and len(piece) > 1:
            other = placed(in_shape(piece, carrier.wrong.text, self._state.rng), places[0], carrier)
            shape = shape_of(piece) if await pays(other) else None
        shown = f"any {characters}" if characters else f"text of the shape {shape!r}" if shape else repr(piece)
        says = {"in front": "begins with", "behind": "ends with", "anywhere": "contains", "alone": "the answer is"}
        kind = Kind(f"{says.get(place, 'has')} {shown}", group, parts, piece=piece, place=place)
        kind.characters, kind.shape = characters, shape
        return kind

    def _moved(self, attempt: Attempt, kind: Kind, piece: str, places: Sequence[str], carrier: Carrier) -> Attempt:
        """The same attack on another question."""
        if places:
            return placed(carrier.target.question if kind.question else piece, places[0], carrier)
        return attempt.on(carrier.target, carrier.wrong if attempt.wrong else None)

    def _elsewhere(self, target: Target) -> list[Carrier]:
        """Carriers of other questions, by chance."""
        others = {one.target.key: one for one in self._state.carriers if one.target is not target}
        return self._state.rng.sample(list(others.values()), min(_ELSEWHERE, len(others)))

    async def _settle(self, kind: Kind, attempts: Sequence[Attempt], group: str) -> None:
        """Keep a kind, and try it on further questions, unless it is known."""
        state = self._state
        same = [one for one in state.kinds if one.name == kind.name and kind.parts <= one.parts]
        for attempt in attempts[:1] if same else attempts:
            if attempt is not attempts[0] and not is_wrong(attempt):
                continue
            [outcome] = await state.scorer.score([attempt])
            paid = state.scorer.paid(attempt, outcome) & kind.parts
            if same:
                return same[0].add(Example(attempt, outcome, kind.parts), group)
            kind.tried += 1
            if paid:
                kind.paid += 1
                example = Example(attempt, outcome, paid)
                if not kind.examples:
                    state.kinds.append(kind)
                kind.add(example, group)
                state.count(kind, [example])
        return None


def _without_reference(attempt: Attempt, carrier: Carrier | None) -> Attempt | None:
    """A list with a wrong answer in the reference's place: does the list pay, or what it holds?"""
    if carrier is None or attempt.offered < 2 or attempt.written is None:
        return None
    before, found, after = attempt.written.partition(attempt.target.answer)
    if not found:
        return None
    return Attempt(*(attempt.target, attempt.kind, carrier.wrong, carrier.wrong.because), before=before, after=after)
