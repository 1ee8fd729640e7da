"""What the adapters share: a user's function as a signal of single replies, of lists of them, or of whole groups."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from medix_r1.errors import ConfigError, Problem, RewardError
from medix_r1.grammar import Completion, Reference
from medix_r1.rewards.adapters import returned
from medix_r1.rewards.adapters.function import Call, UserFunction, asks_for_group, is_number
from medix_r1.rewards.adapters.micro_batches import MicroBatches, Outcome
from medix_r1.rewards.base import Sample, Score

Part = Literal["answer", "reply", "think"]
_PARTS = ("answer", "reply", "think")
_UNIT = (0.0, 1.0)
# A sample with all parts, to see whether a function takes what it would be called with.
_EXAMPLE = Sample(Completion("reply", "X_RAY", "think", "answer", ()), Reference("X_RAY", "answer"))


class Item(NamedTuple):
    """One reply to score: the sample, and the part of its reply that the function gets."""

    sample: Sample
    text: str


@dataclass(frozen=True, slots=True)
class Calling:
    """How a function is called.

    Attributes:
        timeout: seconds for one call, in a process of its own; a reply that takes longer is masked. None calls the
            function in a thread of this process, which nothing can stop.
        threads: maximum concurrent calls, each in a process or a thread of its own. One by default, because few such
            functions are safe in several threads.
        group: whether a list is one whole group; None: as the function says.
        max_batch: the most replies of a list that is no group; None: as many as take about a second.
        factory: `function` is no reward function but makes one: it is called with these arguments when a process
            starts. None: it is called itself.
        python: interpreter of another environment that has the function's packages; this package need not be there.
    """

    timeout: float | None
    threads: int
    group: bool | None
    max_batch: int | None
    factory: Mapping[str, Any] | None
    python: str | None


class Adapter(ABC):
    """A user's function as a signal; a subclass makes the arguments and reads the result as one framework does.

    A function that takes lists is called with the replies of many rollouts (micro_batches.py). One that needs its whole
    group is called once a group: it says so (`needs_group = True`), or has a parameter such as `num_generations`.

    Args:
        function: `module:name` or `./file.py:name`.
        part: what the function gets as the reply: all of it, its answer block, or its think block. A reply without
            that block scores 0. With `answer` and `think`, the right answer is given without its modality tag.
        rescale: the function's lowest and highest score, which become 0 and 1. Default: 0 and 1.
        calling: how the function is called.

    Raises:
        ConfigError: the function cannot be imported, cannot get its group, or cannot take the arguments that it would
            be called with; or a setting is out of range.
    """

    makes_calls = True

    def __init__(
        self,
        function: str,
        *,
        part: Part,
        rescale: Sequence[float] | None,
        calling: Calling,
    ) -> None:
        how, group = calling, calling.group
        problems = [*_part_problems(part), *_range_problems(rescale), *_batch_problems(group, how.max_batch)]
        try:
            self._function = UserFunction(
                function, timeout=how.timeout, workers=how.threads, factory=how.factory, python=how.python
            )
            asks = asks_for_group(function, how.factory, how.python)
        except ConfigError as error:
            raise ConfigError([*error.problems, *problems]) from error
        self._part = part
        self.needs_group = asks is not None if group is None else group
        problems += self._own_problems() + self._group_problems(asks)
        if problems := problems + self._function.binding_problems(self._call([Item(_EXAMPLE, "reply")])):
            self._function.close()
            raise ConfigError(problems)
        low, high = rescale or _UNIT
        self._range = (float(low), float(high))
        self._batches: MicroBatches[Item] | None = None
        if self._takes_lists and how.max_batch != 1:
            self._batches = MicroBatches(self._outcomes, name=self.name, workers=how.threads, most=how.max_batch)

    @classmethod
    def needs_group_by(cls, settings: Mapping[str, Any]) -> bool:
        """Whether a signal with these settings scores whole groups.

        Raises:
            ConfigError: the function cannot be imported.
        """
        if (group := settings.get("group")) is not None:
            return bool(group)
        return asks_for_group(settings.get("function"), settings.get("factory"), settings.get("python")) is not None

    @property
    def name(self) -> str:
        """The function's reference."""
        return self._function.name

    def score(self, sample: Sample) -> Awaitable[Score]:
        """Score one reply, in a list with others that come meanwhile."""
        text = self._text(sample)
        if text is None:
            nothing: asyncio.Future[Score] = asyncio.get_running_loop().create_future()
            nothing.set_result(self._without_part())
            return nothing
        item = Item(sample, text)
        return self._alone(item) if self._batches is None else self._batches.score(item)

    async def _alone(self, item: Item) -> Score:
        outcome = (await self._outcomes([item]))[0]
        if isinstance(outcome, RewardError):
            raise outcome
        return outcome

    async def score_group(self, samples: Sequence[Sample]) -> list[Score]:
        """Score a whole group in one call; replies without the part are empty texts there, and score 0.

        Raises:
            RewardError: there is no score for one of them, so there is none for the group.
        """
        texts = [self._text(sample) for sample in samples]
        items = [Item(sample, text or "") for sample, text in zip(samples, texts, strict=True)]
        outcomes = await self._outcomes(items)
        if failed := next((outcome for outcome in outcomes if isinstance(outcome, RewardError)), None):
            raise failed
        scores = [outcome for outcome in outcomes if isinstance(outcome, Score)]
        return [self._without_part() if text is None else one for text, one in zip(texts, scores, strict=True)]

    async def aclose(self) -> None:
        """End the function's processes."""
        if self._batches is not None:
            self._batches.close()
        self._function.close()

    @property
    def _takes_lists(self) -> bool:
        """Whether the function takes several replies at once."""
        return True

    def _own_problems(self) -> list[Problem]:
        """Problems of settings that only one framework has."""
        return []

    def _group_problems(self, asks: str | None) -> list[Problem]:
        """A group that is needed and not given, or that the function cannot take."""
        if asks is not None and not self.needs_group:
            says = f"false, but {self.name} {asks}, and would get the replies of other prompts; leave group out"
            return [Problem("group", "needs-its-group", says)]
        if self.needs_group and not self._takes_lists:
            says = f"{self.name} takes one reply at a time, so it cannot get its group"
            return [Problem("function", "takes-one-reply", says)]
        return []

    @abstractmethod
    def _call(self, items: Sequence[Item]) -> Call:
        """The arguments that the framework would pass for these replies."""

    @abstractmethod
    def _scores(self, result: Any, count: int) -> Sequence[Outcome]:
        """The score or error of each reply in what the function returned.

        Raises:
            RewardError: it returned no score for each of them.
        """

    async def _outcomes(self, items: Sequence[Item]) -> Sequence[Outcome]:
        return self._scores(await self._function(self._call(items)), len(items))

    def _each(self, values: Sequence[Any], read: Any) -> list[Outcome]:
        """Read each reply's value; what is wrong with one is an error of that one alone."""
        outcomes: list[Outcome] = []
        for value in values:
            try:
                outcomes.append(read(value))
            except RewardError as error:
                outcomes.append(error)
        return outcomes

    def _group_arguments(self, items: Sequence[Item]) -> dict[str, Any]:
        """What other frameworks' functions call the size and the names of their group, as far as this one asks."""
        seats = [item.sample.seat for item in items]
        given = {
            "group_size": len(items),
            "num_generations": len(items),
            "group_ids": [seat.group if seat else "" for seat in seats],
        }
        return {name: value for name, value in given.items() if self._function.names(name)}

    def _text(self, sample: Sample) -> str | None:
        said = sample.completion
        return {"reply": said.text, "answer": said.answer, "think": said.think}[self._part]

    def _without_part(self) -> Score:
        return Score(0.0, f"no {self._part} block")

    def _reference(self, sample: Sample) -> str:
        """The right answer as the function gets it."""
        return reference_text(sample) if self._part == "reply" else sample.reference.answer

    def _scored(self, value: Any, others: Mapping[str, Any]) -> Score:
        reason = ", ".join(f"{name} {other}" for name, other in others.items()) or f"from {self.name}"
        return Score(returned.score(value, self._range, self.name), reason, returned.numbers(others) or None)

    def _scored_by_key(self, result: Any, key: str) -> Score:
        if not isinstance(result, Mapping) or key not in result:
            raise RewardError(f"{self.name} returned {result!r}, which has no '{key}'", code="no-such-score")
        others = {name: value for name, value in result.items() if name != key}
        return self._scored(returned.one_of(result[key], self.name), others)


def reference_text(sample: Sample) -> str:
    """Return the reference as the data has it: `<TAG>answer`, or the answer alone where there is no tag."""
    tag = sample.reference.modality
    return f"<{tag}>{sample.reference.answer}" if tag else sample.reference.answer


def _part_problems(part: Any) -> list[Problem]:
    return [] if part in _PARTS else [Problem("part", "not-a-choice", f"'{part}' is none of {', '.join(_PARTS)}")]


def _range_problems(rescale: Any) -> list[Problem]:
    if rescale is None:
        return []
    numbers = isinstance(rescale, Sequence) and len(rescale) == 2 and all(map(is_number, rescale))
    if numbers and -float("inf") < rescale[0] < rescale[1] < float("inf"):
        return []
    return [Problem("rescale", "out-of-range", f"{rescale!r} is no lowest and highest score, such as [-1, 1]")]


def _batch_problems(group: Any, max_batch: Any) -> list[Problem]:
    problems = []
    if group is not None and not isinstance(group, bool):
        problems.append(Problem("group", "not-true-or-false", f"{group!r} is neither true nor false nor null"))
    if max_batch is not None and (isinstance(max_batch, bool) or not isinstance(max_batch, int) or max_batch < 1):
        says = f"{max_batch!r} is no number of replies; use at least 1, or null"
        problems.append(Problem("max_batch", "out-of-range", says))
    return problems
