"""Reward functions written for EasyR1, TRL, verl or OpenRLHF, as signals of the composite.

Most of these frameworks call a function with a whole batch. Here each rollout is scored as soon as it is finished, so
the function gets lists of those that came meanwhile (micro_batches.py), or its whole group if it needs that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from medix_r1.errors import Problem
from medix_r1.rewards.adapters import returned
from medix_r1.rewards.adapters.adapter import Adapter, Calling, Item, Part
from medix_r1.rewards.adapters.function import TIMEOUT, Call
from medix_r1.rewards.adapters.micro_batches import Outcome
from medix_r1.rewards.base import Sample, Score


class EasyR1Reward(Adapter):
    """`compute_score(list of dicts, **kwargs) -> list of dicts`; a function of one dict works as well.

    Each dict has EasyR1's keys `response`, `response_length` (in characters: token counts are not known here) and
    `ground_truth` (with its modality tag), plus `question`, `source` and `choices`.

    Args:
        function, part, rescale: as in `Adapter`, also its errors.
        timeout, threads, group, max_batch, factory, python: as in `Calling`.
        key: which of the returned numbers is the score; the others become metrics.
        batched: True for a function of a list (EasyR1's `reward_type=batch`), False for one of a dict (`sequential`).
        kwargs: further keyword arguments of the function.
    """

    def __init__(
        self,
        *,
        function: str,
        key: str = "overall",
        batched: bool = True,
        part: Part = "reply",
        rescale: Sequence[float] | None = None,
        timeout: float | None = TIMEOUT,
        threads: int = 1,
        group: bool | None = None,
        max_batch: int | None = None,
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._key, self._batched, self._kwargs = key, batched, dict(kwargs or {})
        calling = Calling(timeout, threads, group, max_batch, factory, python)
        super().__init__(function, part=part, rescale=rescale, calling=calling)

    @property
    def _takes_lists(self) -> bool:
        return self._batched

    def _call(self, items: Sequence[Item]) -> Call:
        rows = [self._row(item.sample, item.text) for item in items]
        return Call((rows if self._batched else rows[0],), self._group_arguments(items) | self._kwargs)

    def _row(self, sample: Sample, text: str) -> dict[str, Any]:
        return {
            "response": text,
            "response_length": len(text),
            "ground_truth": self._reference(sample),
            "question": sample.question,
            "source": sample.source,
            "choices": list(sample.choices),
        }

    def _scores(self, result: Any, count: int) -> Sequence[Outcome]:
        rows = returned.exactly(result, count, self.name) if self._batched else [result]
        return self._each(rows, partial(self._scored_by_key, key=self._key))


class TrlReward(Adapter):
    """`f(completions, **columns) -> list[float | None]`, plain or async; None means that the signal does not apply.

    The columns are `prompts`, `solution` and `ground_truth` (the reference with its tag), `answer` (the reference
    without its tag), `question`, `source` and `choices`, each a list of length 1. A function without `**kwargs` gets
    only the columns that it names.

    Args:
        function, part, rescale: as in `Adapter`, also its errors.
        timeout, threads, group, max_batch, factory, python: as in `Calling`.
        conversational: pass completions and prompts as lists of messages, as TRL does for chat data.
        columns: further column → constant value.
    """

    def __init__(
        self,
        *,
        function: str,
        conversational: bool = False,
        columns: Mapping[str, Any] | None = None,
        part: Part = "reply",
        rescale: Sequence[float] | None = None,
        timeout: float | None = TIMEOUT,
        threads: int = 1,
        group: bool | None = None,
        max_batch: int | None = None,
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
    ) -> None:
        self._conversational, self._columns = conversational, dict(columns or {})
        calling = Calling(timeout, threads, group, max_batch, factory, python)
        super().__init__(function, part=part, rescale=rescale, calling=calling)

    def _own_problems(self) -> list[Problem]:
        return [
            Problem(f"columns.{name}", "not-taken", f"{self.name} takes no '{name}', nor all columns (**kwargs)")
            for name in self._columns
            if not self._function.takes(name)
        ]

    def _call(self, items: Sequence[Item]) -> Call:
        rows = [self._row(item.sample, item.text) for item in items]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        own = {name: [value] * len(items) for name, value in self._columns.items()}
        refused = {name for name in own if not self._function.takes(name)}  # `_own_problems` reports it
        offered = frozenset(columns.keys() - own.keys() | refused)
        return Call(kwargs=self._group_arguments(items) | columns | own, offered=offered)

    def _row(self, sample: Sample, text: str) -> dict[str, Any]:
        return {
            "prompts": self._message("user", sample.question),
            "completions": self._message("assistant", text),
            "solution": self._reference(sample),
            "ground_truth": self._reference(sample),
            "answer": sample.reference.answer,
            "question": sample.question,
            "source": sample.source,
            "choices": list(sample.choices),
        }

    def _scores(self, result: Any, count: int) -> Sequence[Outcome]:
        return self._each(returned.exactly(result, count, self.name), self._one)

    def _one(self, value: Any) -> Score:
        return Score(None, f"{self.name} skipped it") if value is None else self._scored(value, {})

    def _message(self, role: str, text: str) -> Any:
        return [{"role": role, "content": text}] if self._conversational else text


class VerlReward(Adapter):
    """verl's `compute_score(data_source, solution_str, ground_truth, extra_info, **kwargs)`, plain or async.

    It is called by keywords. `ground_truth` has its modality tag; `extra_info` has `question`, `choices` and `answers`
    (other right wordings). It returns a number, or a dict.

    Args:
        function, part, rescale: as in `Adapter`, also its errors.
        timeout, threads, group, max_batch, factory, python: as in `Calling`.
        key: which number of a returned dict is the score; the others become metrics.
        kwargs: further keyword arguments, verl's `reward_kwargs`; they replace those above.
    """

    def __init__(
        self,
        *,
        function: str,
        key: str = "score",
        part: Part = "reply",
        rescale: Sequence[float] | None = None,
        timeout: float | None = TIMEOUT,
        threads: int = 1,
        group: bool | None = None,
        max_batch: int | None = None,
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._key, self._kwargs = key, dict(kwargs or {})
        calling = Calling(timeout, threads, group, max_batch, factory, python)
        super().__init__(function, part=part, rescale=rescale, calling=calling)

    @property
    def _takes_lists(self) -> bool:
        """Whether it is written for verl's reward manager `batch`, which passes lists under names in the plural."""
        return self._function.names("solution_strs")

    def _call(self, items: Sequence[Item]) -> Call:
        rows = [self._row(item.sample, item.text) for item in items]
        if not self._takes_lists:
            return Call(kwargs=rows[0] | self._kwargs)
        lists = {f"{name}s": [row[name] for row in rows] for name in rows[0]}
        return Call(kwargs=self._group_arguments(items) | lists | self._kwargs)

    def _row(self, sample: Sample, text: str) -> dict[str, Any]:
        return {
            "data_source": sample.source,
            "solution_str": text,
            "ground_truth": self._reference(sample),
            "extra_info": {
                "question": sample.question,
                "choices": list(sample.choices),
                "answers": list(sample.accepted),
            },
        }

    def _scores(self, result: Any, count: int) -> Sequence[Outcome]:
        if self._takes_lists:
            return self._each(returned.exactly(result, count, self.name), self._one)
        return self._each([returned.one_of(result, self.name)], self._one)

    def _one(self, value: Any) -> Score:
        return self._scored_by_key(value, self._key) if isinstance(value, Mapping) else self._scored(value, {})


class OpenRlhfReward(Adapter):
    """OpenRLHF's `reward_func(queries, prompts, labels, **kwargs)`, plain or async.

    Each argument is a list of length 1: the question with the reply behind it, the question, the reference with its
    modality tag. The question is the row's own, without a chat template. The function returns a list, an array or a
    tensor, or a dict with `rewards`, `scores` and `extra_logs`.

    Args:
        function, part, rescale: as in `Adapter`, also its errors.
        timeout, threads, group, max_batch, factory, python: as in `Calling`.
        key: which entry of a returned dict is the score: `rewards`, which OpenRLHF trains on, or `scores`. The other
            one and `extra_logs` become metrics.
        kwargs: further keyword arguments of the function.
    """

    def __init__(
        self,
        *,
        function: str,
        key: str = "rewards",
        part: Part = "reply",
        rescale: Sequence[float] | None = None,
        timeout: float | None = TIMEOUT,
        threads: int = 1,
        group: bool | None = None,
        max_batch: int | None = None,
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._key, self._kwargs = key, dict(kwargs or {})
        calling = Calling(timeout, threads, group, max_batch, factory, python)
        super().__init__(function, part=part, rescale=rescale, calling=calling)

    def _call(self, items: Sequence[Item]) -> Call:
        lists = (
            [item.sample.question + item.text for item in items],
            [item.sample.question for item in items],
            [self._reference(item.sample) for item in items],
        )
        return Call(lists, self._group_arguments(items) | self._kwargs)

    def _scores(self, result: Any, count: int) -> Sequence[Outcome]:
        if not isinstance(result, Mapping):
            values = returned.exactly(
                [result] if count == 1 and not isinstance(result, list) else result, count, self.name
            )
            return self._each(values, partial(self._scored, others={}))
        logs = result.get("extra_logs")
        numbers = {name: value for name, value in result.items() if name != "extra_logs"}
        columns = {**(logs if isinstance(logs, Mapping) else {}), **numbers}
        if count > 1 and self._key in columns:
            returned.exactly(columns[self._key], count, self.name)
        return self._each(
            [returned.row(columns, number, count) for number in range(count)],
            partial(self._scored_by_key, key=self._key),
        )
