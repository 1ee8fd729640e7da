"""Reward functions written for EasyR1 or TRL, as signals of the composite.

Both frameworks call a function with a whole batch. Here each rollout is scored as soon as it is finished, so the
function gets lists of length 1. It runs in a thread (one by default, because few such functions are thread-safe). A
function that compares the replies of a group cannot work like this and is refused.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError, Problem, RewardError
from medix_r1.rewards.base import Sample, Score

# A function with one of these parameters, and no default for it, needs all replies of a group.
GROUP_PARAMETERS = ("group", "groups", "group_size", "group_ids", "num_generations", "advantages")
GROUP_MARK = "needs_group"  # a function may also declare it: compute_score.needs_group = True


class EasyR1Reward:
    """`compute_score(list of dicts, **kwargs) -> list of dicts`; a function of one dict works as well.

    Each dict has EasyR1's keys `response`, `response_length` (in characters: token counts are not known here) and
    `ground_truth` (with its modality tag), plus `question`, `source` and `choices`.

    Args:
        function: `module:name` or `./file.py:name`.
        key: which of the returned numbers is the score; it must be in [0, 1].
        batched: True for a function of a list (EasyR1's `reward_type=batch`), False for one of a dict (`sequential`).
        threads: maximum concurrent calls.
        kwargs: further keyword arguments of the function.

    Raises:
        ConfigError: the function cannot be imported, or needs a whole group.
    """

    def __init__(
        self,
        *,
        function: str,
        key: str = "overall",
        batched: bool = True,
        threads: int = 1,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._key, self._batched = key, batched
        self._call = _InThread(function, threads, kwargs or {})

    async def score(self, sample: Sample) -> Score:
        row = {
            "response": sample.completion.text,
            "response_length": len(sample.completion.text),
            "ground_truth": reference_text(sample),
            "question": sample.question,
            "source": sample.source,
            "choices": list(sample.choices),
        }
        returned = await self._call([row] if self._batched else row)
        scores = self._call.only(returned) if self._batched else returned
        if not isinstance(scores, Mapping) or self._key not in scores:
            raise RewardError(
                f"{self._call.name} returned {scores!r}, which has no '{self._key}'", code="no-such-score"
            )
        others = ", ".join(f"{name} {value}" for name, value in scores.items() if name != self._key)
        return Score(self._call.checked(scores[self._key]), others or f"from {self._call.name}")


class TrlReward:
    """`f(completions, **columns) -> list[float | None]`, plain or async; None means that the signal does not apply.

    The columns are `prompts`, `solution` and `ground_truth` (the reference with its tag), `answer` (the reference
    without its tag), `question`, `source` and `choices`, each a list of length 1. A function without `**kwargs` gets
    only the columns that it names.

    Args:
        function: `module:name` or `./file.py:name`.
        conversational: pass completions and prompts as lists of messages, as TRL does for chat data.
        columns: further column → constant value.
        threads: maximum concurrent calls.

    Raises:
        ConfigError: the function cannot be imported, or needs a whole group.
    """

    def __init__(
        self,
        *,
        function: str,
        conversational: bool = False,
        columns: Mapping[str, Any] | None = None,
        threads: int = 1,
    ) -> None:
        self._conversational, self._columns = conversational, dict(columns or {})
        self._call = _InThread(function, threads, {})
        parameters = inspect.signature(self._call.function).parameters.values()
        takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
        self._named = None if takes_all else {parameter.name for parameter in parameters}

    async def score(self, sample: Sample) -> Score:
        columns = {
            "prompts": self._message("user", sample.question),
            "completions": self._message("assistant", sample.completion.text),
            "solution": reference_text(sample),
            "ground_truth": reference_text(sample),
            "answer": sample.reference.answer,
            "question": sample.question,
            "source": sample.source,
            "choices": list(sample.choices),
            **self._columns,
        }
        taken = {name: [value] for name, value in columns.items() if self._named is None or name in self._named}
        value = self._call.only(await self._call(**taken))
        if value is None:
            return Score(None, f"{self._call.name} skipped it")
        return Score(self._call.checked(value), f"from {self._call.name}")

    def _message(self, role: str, text: str) -> Any:
        return [{"role": role, "content": text}] if self._conversational else text


class _InThread:
    """Runs a user's function in a thread; every exception that it raises becomes a `RewardError`."""

    def __init__(self, name: str, threads: int, kwargs: Mapping[str, Any]) -> None:
        if problems := function_problems(name):
            raise ConfigError(problems)
        self.name, self.function = name, user_code.load(name, "function")
        self._bound = functools.partial(self.function, **kwargs)
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="reward")

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        def run() -> Any:
            result = self._bound(*args, **kwargs)
            return asyncio.run(result) if inspect.iscoroutine(result) else result

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except Exception as error:  # user code may raise anything
            raise RewardError(f"{self.name} raised {type(error).__name__}: {error}", code="raised") from error

    def only(self, returned: Any) -> Any:
        """Return the only item of a list of length 1; any other value is a `RewardError`."""
        if not isinstance(returned, Sequence) or isinstance(returned, str) or len(returned) != 1:
            size = f"{len(returned)} values" if isinstance(returned, Sequence) else f"{returned!r}"
            raise RewardError(
                f"{self.name} returned {size} for one reply; a function that needs the whole group cannot be used",
                code="not-one-score",
            )
        return returned[0]

    def checked(self, value: Any) -> float:
        """Return the value as a float in [0, 1]; any other value is a `RewardError`."""
        if isinstance(value, str | bytes) or not hasattr(value, "__float__"):  # accept NumPy and torch scalars
            raise RewardError(f"{self.name} returned {value!r}, which is no number", code="not-a-number")
        number = float(value)
        if math.isnan(number) or not 0.0 <= number <= 1.0:
            raise RewardError(
                f"{self.name} returned {number}; scores must be between 0 and 1, so rescale it", code="out-of-range"
            )
        return number


def reference_text(sample: Sample) -> str:
    """Return the reference as the data has it: `<TAG>answer`, or the answer alone where there is no tag."""
    tag = sample.reference.modality
    return f"<{tag}>{sample.reference.answer}" if tag else sample.reference.answer


def function_problems(name: Any) -> list[Problem]:
    """Every problem of an adapter's `function`: it cannot be imported or called, or it needs a whole group."""
    try:
        function = user_code.load(name, "function")
    except ConfigError as error:
        return list(error.problems)
    if not callable(function):
        return [Problem("function", "not-a-function", f"{name} is not a function")]
    refusal = "it needs its whole group, but each reply is scored alone as soon as it is finished"
    if getattr(function, GROUP_MARK, False):
        return [Problem("function", "needs-its-group", f"{name} says {GROUP_MARK}=True: {refusal}")]
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name in GROUP_PARAMETERS and parameter.default is inspect.Parameter.empty
    ]
    return [Problem("function", "needs-its-group", f"{name} asks for {', '.join(needed)}: {refusal}")] if needed else []
