"""What all signals share: their input (`Sample`), output (`Score`), interface, and scores that rules alone decide."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from medix_r1.confidence import Element as ConfidenceElement
from medix_r1.errors import Problem
from medix_r1.grammar import Completion, Reference, ThinkElement, parse_completion, parse_reference
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.prompts import neutralise
from medix_r1.public_grammar import parse_as_public, parse_public_reference
from medix_r1.wording.spelling import is_gradable, normalize_answer

Result = TypeVar("Result")

PARSERS = {"strict": (parse_completion, parse_reference), "public": (parse_as_public, parse_public_reference)}
NO_MODALITY = "none"  # the modality of a row without a tag, in weight tables and metric names


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of a rollout in its group, the rollouts of one prompt.

    Attributes:
        group: name of the group; no other group that is scored has it.
        index: number of the rollout, from 0.
        size: rollouts that the group has when none is lost.
    """

    group: str
    index: int
    size: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished rollout, with everything that a signal may read."""

    completion: Completion
    reference: Reference
    question: str = ""
    choices: tuple[str, ...] = ()  # the options of a multiple-choice question, in order
    images: tuple[bytes, ...] = field(default=(), repr=False)  # encoded; only where a signal asked for them
    source: str = ""  # the row's data source
    has_image: bool = True
    cut: bool = False  # generation ended at the length limit
    accepted: tuple[str, ...] = field(default=())  # other wordings of the reference that count as right
    seat: Seat | None = field(default=None, compare=False)  # None: a group of its own
    rationale: tuple[Any, ...] = ()  # steps of the row's rationale; models/rationale.py reads them (`steps_of`)
    rubric: tuple[Any, ...] = ()  # the row's criteria, as it has them; models/rubric.py reads them (`criteria_of`)

    @property
    def modality(self) -> str:
        """The imaging modality that the row is known to have, such as `X_RAY`; `none` without one."""
        return self.reference.modality or NO_MODALITY


class SampleReader:
    """Makes a `Sample` from a reply and the fields of its row.

    Args:
        think_element: the required think element, `think` or `thinking`.
        parser: `strict` (grammar.py), or `public` for the rules of the paper's code (public_grammar.py).
        prefilled_element: element that the chat template opens before the reply, such as `think`. What the reply has
            before its closing mark is the model's own reasoning, and what follows is parsed; without that mark nothing.
        confidence: whether a `<confidence>` block may (`optional`) or must (`required`) follow the answer, or `none`.
    """

    def __init__(
        self,
        *,
        think_element: ThinkElement = "thinking",
        parser: str = "strict",
        prefilled_element: str | None = None,
        confidence: ConfidenceElement = "none",
    ) -> None:
        self._think_element = think_element
        self._more: dict[str, Any] = {"confidence": confidence} if confidence != "none" else {}
        self._parse, self._parse_reference = PARSERS[parser]
        self._end_of_own = f"</{prefilled_element}>" if prefilled_element else None

    @classmethod
    def of(cls, settings: Any) -> SampleReader:
        """Build the reader that a `reward` node of a config asks for."""
        return cls(
            think_element=settings["think_element"],
            parser=settings["parser"],
            prefilled_element=settings.get("prefilled_element"),
            confidence=settings.get("confidence", "none"),
        )

    def read(
        self,
        reply: str,
        *,
        reference: str,
        has_image: bool,
        question: str = "",
        choices: Sequence[str] = (),
        images: Sequence[bytes] = (),
        source: str = "",
        cut: bool = False,
        accepted: Sequence[str] = (),
        rubric: Any = None,
        rationale: Any = None,
    ) -> Sample:
        """Parse one reply.

        Args:
            reply: the reply as generated, special tokens removed.
            reference: the right answer, with its modality tag in front if there is one.
            has_image: whether the question shows at least one image; without one no tag is expected.
            question: as in `Sample`, like all that follow.
            choices: options of a multiple-choice question.
            images: encoded pictures.
            source: data source of the row.
            cut: generation ended at the length limit.
            accepted: other right wordings.
            rubric: the row's criteria, if it has any.
            rationale: the steps of the row's rationale, if it has one.
        """
        return Sample(
            completion=self._completion(reply, has_image),
            reference=self._parse_reference(reference),
            question=question,
            choices=tuple(choices),
            images=tuple(images),
            source=source,
            has_image=has_image,
            cut=cut,
            accepted=tuple(accepted),
            rubric=_entries(rubric),
            rationale=_entries(rationale),
        )

    def _completion(self, reply: str, has_image: bool) -> Completion:
        if self._end_of_own is None:
            return self._parse(reply, think_element=self._think_element, wants_modality=has_image, **self._more)
        asked = reply.partition(self._end_of_own)[2]
        parsed = self._parse(asked, think_element=self._think_element, wants_modality=has_image, **self._more)
        return replace(parsed, text=reply)


def _entries(value: Any) -> tuple[Any, ...]:
    """The criteria or steps of a row; what is no list of them stays, for the signal that says so."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


@dataclass(frozen=True, slots=True)
class Detail:
    """One of several things that a signal looked at, such as a criterion of a rubric; `samples/` and report show it.

    Attributes:
        text: what was looked for.
        met: whether it is there; None where that is not known.
        points: what it counts.
        reason: why, in the judge's words.
        tags: groups that it belongs to.
    """

    text: str
    met: bool | None
    points: float = 1.0
    reason: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one signal.

    `value` is in [0, 1]. None means that the signal does not apply to this sample; the composite then renormalises the
    weights of the others. A signal that fails raises an error and returns no `Score`; an error may have `details`, too.
    `numbers` are further finite numbers for the metrics, of any range. `details` are what the value was made of.
    """

    value: float | None
    reason: str
    numbers: Mapping[str, float] | None = None
    details: tuple[Detail, ...] = ()


_ROUNDING = 1e-6


def clamped(value: float) -> float | None:
    """The value in [0, 1], moved there if rounding took it up to 1e-6 outside; None if it is farther off or NaN."""
    if 0.0 <= value <= 1.0:
        return value
    return min(1.0, max(0.0, value)) if -_ROUNDING <= value <= 1.0 + _ROUNDING else None


class PendingScore(Generic[Result]):
    """An awaitable `Score` whose call is already in flight, so waiting for several of them needs no tasks.

    Args:
        pending: future of the call's result; its exception is the signal's.
        read: turns the result into a score.
    """

    __slots__ = ("_read", "pending")

    def __init__(self, pending: asyncio.Future[Result], read: Callable[[Result], Score]) -> None:
        self.pending, self._read = pending, read

    def __await__(self) -> Generator[Any, None, Score]:
        result = yield from self.pending
        return self._read(result)


class Reward(Protocol):
    """One signal of the composite reward.

    A signal may have five optional attributes:

    - `wants_images`: bool; True fills `Sample.images`.
    - `statistics()`: name → number, for the step metrics. Names that start with `latency` or `estimated_` are gauges,
      all others are counters that only grow.
    - `rule_score(sample)`: the `Score` where rules alone decide, else None. `reward audit` skips samples that have one.
    - `makes_calls`: True of a plain `score` that returns something to wait for.
    - `veto`: name of another signal; where that one says NO (below 0.5), this one is 0.
    """

    def score(self, sample: Sample) -> Score | Awaitable[Score]:
        """Score one rollout: `async` if the signal waits for something, a plain method if it only computes.

        A signal with thousands of concurrent calls may return a `PendingScore`, which is cheaper than a coroutine.

        Raises:
            JudgeError, EmbedderError, RewardError: there is no score. If the signal has weight, the sample is masked,
                never scored 0.
        """
        ...


class LaterReward(Protocol):
    """A signal that reads the scores of others. It runs after them, and fails where one of them failed.

    With the attribute `reads_failed`, it is asked even so, where the error of the other has `details`.
    """

    needs: tuple[str, ...]  # names of the other signals

    def score(self, sample: Sample, scores: Mapping[str, Score]) -> Score | Awaitable[Score]:
        """Score one rollout, as `Reward.score`; `scores` has those of the signals in `needs`."""
        ...


_NOTHING = Score(0.0, "nothing to grade")
_EXACT = Score(1.0, "exact match")
_NO_REFERENCE = Score(None, "the row has no reference, but a rubric")
_MAX_GROWTH = 72  # bytes of one character in a prompt: NFKC makes at most 18 characters of it, each of at most 4 bytes


def byte_limit_problems(key: str, max_bytes: int | None) -> list[Problem]:
    """A limit below 1, which no answer meets."""
    if max_bytes is None or max_bytes >= 1:
        return []
    return [Problem(key, "out-of-range", f"{max_bytes} must be at least 1; null is no limit")]


def rule_score(sample: Sample, *, max_bytes: int | None, refuse_echo: bool) -> Score | None:
    """Score an answer by rules: 1 for an exact match, 0 for an ungradable answer; None when a model has to decide.

    Args:
        sample: the rollout.
        max_bytes: longer answers score 0, in UTF-8 bytes as the prompt would hold them. A judge refuses texts that are
            too long, and masking them would let the policy avoid being wrong. None: no limit.
        refuse_echo: an answer that repeats the question scores 0.
    """
    if sample.rubric and not sample.reference.answer:
        return _NO_REFERENCE
    return _by_rules(sample, sample.reference.answer, max_bytes, refuse_echo)


def refused_score(sample: Sample, *, max_bytes: int | None, refuse_echo: bool) -> Score | None:
    """0 for an ungradable answer, as `rule_score`; None for all others, for signals that no reference decides."""
    return _by_rules(sample, None, max_bytes, refuse_echo)


def _by_rules(sample: Sample, reference: str | None, max_bytes: int | None, refuse_echo: bool) -> Score | None:
    answer = sample.completion.answer
    if answer is None:
        return _NOTHING
    return _rule_score(answer, reference, sample.question if refuse_echo else None, max_bytes)


@bounded_cache  # judge and embedder ask for the same sample
def _rule_score(answer: str, reference: str | None, question: str | None, max_bytes: int | None) -> Score | None:
    if not is_gradable(answer):
        return _NOTHING
    given = normalize_answer(answer)
    if reference is not None and given == normalize_answer(reference):
        return _EXACT
    if max_bytes is not None and _MAX_GROWTH * len(answer) > max_bytes and (size := _prompt_bytes(answer)) > max_bytes:
        return Score(0.0, f"too long for an answer: {size} bytes")
    if question is not None and given.rstrip("? ") == normalize_answer(question).rstrip("? "):
        return Score(0.0, "the question given back")
    return None


def _prompt_bytes(answer: str) -> int:
    """UTF-8 bytes of an answer in a prompt: an upper bound of its tokens for a byte-level tokenizer."""
    return len(neutralise(answer, max_chars=sys.maxsize).encode())
