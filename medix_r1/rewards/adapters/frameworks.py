"""Reward functions written for EasyR1, TRL, verl or OpenRLHF, as signals of the composite.

Most of these frameworks call a function with a whole batch. Here each rollout is scored as soon as it is finished, so
the function gets lists of length 1. A function that compares the replies of a group cannot work like this and is
refused; so is one that cannot take the arguments that its framework passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from medix_r1.errors import ConfigError, Problem, RewardError
from medix_r1.grammar import Completion, Reference
from medix_r1.rewards.adapters import returned
from medix_r1.rewards.adapters.function import TIMEOUT, Call, UserFunction, is_number
from medix_r1.rewards.base import Sample, Score

Part = Literal["answer", "reply", "think"]
_PARTS = ("answer", "reply", "think")
_UNIT = (0.0, 1.0)
# A sample with all parts, to see whether a function takes what it would be called with.
_EXAMPLE = Sample(Completion("reply", "X_RAY", "think", "answer", ()), Reference("X_RAY", "answer"))


class _Adapter(ABC):
    """A user's function as a signal; a subclass makes the arguments and reads the result as one framework does.

    Args:
        function: `module:name` or `./file.py:name`.
        part: what the function gets as the reply: all of it, its answer block, or its think block. A reply without
            that block scores 0. With `answer` and `think`, the right answer is given without its modality tag.
        rescale: the function's lowest and highest score, which become 0 and 1. Default: 0 and 1.
        timeout: seconds for one call, in a process of its own; a reply that takes longer is masked. None calls the
            function in a thread of this process, which nothing can stop.
        threads: maximum concurrent calls, each in a process or a thread of its own. One by default, because few such
            functions are safe in several threads.
        factory: `function` is no reward function but makes one: it is called with these arguments when a process
            starts. None: it is called itself.
        python: interpreter of another environment that has the function's packages; this package need not be there.

    Raises:
        ConfigError: the function cannot be imported, needs a whole group, or cannot take the arguments that it would be
            called with; or a setting is out of range.
    """

    def __init__(
        self,
        function: str,
        *,
        part: Part,
        rescale: Sequence[float] | None,
        timeout: float | None,
        threads: int,
        factory: Mapping[str, Any] | None,
        python: str | None,
    ) -> None:
        problems = [*_part_problems(part), *_range_problems(rescale)]
        try:
            self._function = UserFunction(function, timeout=timeout, workers=threads, factory=factory, python=python)
        except ConfigError as error:
            raise ConfigError([*error.problems, *problems]) from error
        self._part = part
        problems += self._own_problems()
        if problems := problems + self._function.binding_problems(self._call(_EXAMPLE, "reply")):
            self._function.close()
            raise ConfigError(problems)
        low, high = rescale or _UNIT
        self._range = (float(low), float(high))

    @property
    def name(self) -> str:
        """The function's reference."""
        return self._function.name

    async def score(self, sample: Sample) -> Score:
        text = {"reply": sample.completion.text, "answer": sample.completion.answer, "think": sample.completion.think}[
            self._part
        ]
        if text is None:
            return Score(0.0, f"no {self._part} block")
        return self._read(await self._function(self._call(sample, text)))

    async def aclose(self) -> None:
        """End the function's processes."""
        self._function.close()

    def _own_problems(self) -> list[Problem]:
        """Problems of settings that only one framework has."""
        return []

    @abstractmethod
    def _call(self, sample: Sample, text: str) -> Call:
        """The arguments that the framework would pass for one reply."""

    @abstractmethod
    def _read(self, result: Any) -> Score:
        """The score in what the function returned."""

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


class EasyR1Reward(_Adapter):
    """`compute_score(list of dicts, **kwargs) -> list of dicts`; a function of one dict works as well.

    Each dict has EasyR1's keys `response`, `response_length` (in characters: token counts are not known here) and
    `ground_truth` (with its modality tag), plus `question`, `source` and `choices`.

    Args:
        function, part, rescale, timeout, threads, factory, python: as in `_Adapter`, also its errors.
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
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._key, self._batched, self._kwargs = key, batched, dict(kwargs or {})
        super().__init__(
            function, part=part, rescale=rescale, timeout=timeout, threads=threads, factory=factory, python=python
        )

    def _call(self, sample: Sample, text: str) -> Call:
        row = {
            "response": text,
            "response_length": len(text),
            "ground_truth": self._reference(sample),
            "question": sample.question,
            "source": sample.source,
            "choices": list(sample.choices),
        }
        return Call(([row] if self._batched else row,), self._kwargs)

    def _read(self, result: Any) -> Score:
        return self._scored_by_key(returned.only(result, self.name) if self._batched else result, self._key)


class TrlReward(_Adapter):
    """`f(completions, **columns) -> list[float | None]`, plain or async; None means that the signal does not apply.

    The columns are `prompts`, `solution` and `ground_truth` (the reference with its tag), `answer` (the reference
    without its tag), `question`, `source` and `choices`, each a list of length 1. A function without `**kwargs` gets
    only the columns that it names.

    Args:
        function, part, rescale, timeout, threads, factory, python: as in `_Adapter`, also its errors.
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
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
    ) -> None:
        self._conversational, self._columns = conversational, dict(columns or {})
        super().__init__(
            function, part=part, rescale=rescale, timeout=timeout, threads=threads, factory=factory, python=python
        )

    def _own_problems(self) -> list[Problem]:
        return [
            Problem(f"columns.{name}", "not-taken", f"{self.name} takes no '{name}', nor all columns (**kwargs)")
            for name in self._columns
            if not self._function.takes(name)
        ]

    def _call(self, sample: Sample, text: str) -> Call:
        columns = {
            "prompts": self._message("user", sample.question),
            "completions": self._message("assistant", text),
            "solution": self._reference(sample),
            "ground_truth": self._reference(sample),
            "answer": sample.reference.answer,
            "question": sample.question,
            "source": sample.source,
            "choices": list(sample.choices),
        }
        kwargs = {name: [value] for name, value in {**columns, **self._columns}.items()}
        refused = {name for name in self._columns if not self._function.takes(name)}  # `_own_problems` has said so
        return Call(kwargs=kwargs, offered=frozenset(columns.keys() - self._columns.keys() | refused))

    def _read(self, result: Any) -> Score:
        value = returned.only(result, self.name)
        return Score(None, f"{self.name} skipped it") if value is None else self._scored(value, {})

    def _message(self, role: str, text: str) -> Any:
        return [{"role": role, "content": text}] if self._conversational else text


class VerlReward(_Adapter):
    """verl's `compute_score(data_source, solution_str, ground_truth, extra_info, **kwargs)`, plain or async.

    It is called by keywords. `ground_truth` has its modality tag; `extra_info` has `question`, `choices` and `answers`
    (other right wordings). It returns a number, or a dict.

    Args:
        function, part, rescale, timeout, threads, factory, python: as in `_Adapter`, also its errors.
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
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._key, self._kwargs = key, dict(kwargs or {})
        super().__init__(
            function, part=part, rescale=rescale, timeout=timeout, threads=threads, factory=factory, python=python
        )

    def _call(self, sample: Sample, text: str) -> Call:
        return Call(
            kwargs={
                "data_source": sample.source,
                "solution_str": text,
                "ground_truth": self._reference(sample),
                "extra_info": {
                    "question": sample.question,
                    "choices": list(sample.choices),
                    "answers": list(sample.accepted),
                },
                **self._kwargs,
            }
        )

    def _read(self, result: Any) -> Score:
        result = returned.one_of(result, self.name)
        return self._scored_by_key(result, self._key) if isinstance(result, Mapping) else self._scored(result, {})


class OpenRlhfReward(_Adapter):
    """OpenRLHF's `reward_func(queries, prompts, labels, **kwargs)`, plain or async.

    Each argument is a list of length 1: the question with the reply behind it, the question, the reference with its
    modality tag. The question is the row's own, without a chat template. The function returns a list, an array or a
    tensor, or a dict with `rewards`, `scores` and `extra_logs`.

    Args:
        function, part, rescale, timeout, threads, factory, python: as in `_Adapter`, also its errors.
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
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._key, self._kwargs = key, dict(kwargs or {})
        super().__init__(
            function, part=part, rescale=rescale, timeout=timeout, threads=threads, factory=factory, python=python
        )

    def _call(self, sample: Sample, text: str) -> Call:
        return Call(([sample.question + text], [sample.question], [self._reference(sample)]), self._kwargs)

    def _read(self, result: Any) -> Score:
        if isinstance(result, Mapping):
            logs = result.get("extra_logs")
            numbers = {name: value for name, value in result.items() if name != "extra_logs"}
            return self._scored_by_key({**(logs if isinstance(logs, Mapping) else {}), **numbers}, self._key)
        return self._scored(returned.one_of(result, self.name), {})


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
