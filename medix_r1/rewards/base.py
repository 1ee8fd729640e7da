"""What all rewards share: what is scored (`Sample`), how a reply becomes one, and what comes out (`Score`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from medix_r1.grammar import Completion, Reference, ThinkElement, parse_completion, parse_reference
from medix_r1.public_grammar import parse_as_public

Said = TypeVar("Said")

PARSERS = {"strict": parse_completion, "public": parse_as_public}
NO_MODALITY = "none"  # what a row without a modality tag is called in weight tables and metrics


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished rollout with everything a signal may look at."""

    completion: Completion
    reference: Reference
    question: str = ""
    choices: tuple[str, ...] = ()  # the options of a multiple-choice question, in order
    images: tuple[bytes, ...] = field(default=(), repr=False)  # encoded; only where a signal asked for them
    source: str = ""  # the row's data source
    has_image: bool = True
    cut: bool = False  # generation ended at the length limit
    accepted: tuple[str, ...] = field(default=())  # other wordings of the reference that count as right

    @property
    def modality(self) -> str:
        """The imaging modality that the row is known to have, such as `X_RAY`; `none` without one."""
        return self.reference.modality or NO_MODALITY


class SampleReader:
    """Turns a reply and what is known of its row into a `Sample`.

    Args:
        think_element: the think element that is required, `think` or `thinking`.
        parser: `strict`, or `public` for the rules of the paper's code.
    """

    def __init__(self, *, think_element: ThinkElement = "thinking", parser: str = "strict") -> None:
        self._think_element, self._parse = think_element, PARSERS[parser]

    @classmethod
    def of(cls, settings: Any) -> SampleReader:
        """The reader of a `reward` node."""
        return cls(think_element=settings["think_element"], parser=settings["parser"])

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
    ) -> Sample:
        """Parse one reply.

        Args:
            reply: the reply as generated, special tokens removed.
            reference: the right answer, with its modality tag in front if there is one.
            has_image: whether the question shows at least one image; without one no tag is asked for.
            question: as in `Sample`, like all that follow.
            choices: options of a multiple-choice question.
            images: encoded pictures.
            source: data source of the row.
            cut: generation ended at the length limit.
            accepted: other right wordings.
        """
        return Sample(
            completion=self._parse(reply, think_element=self._think_element, wants_modality=has_image),
            reference=parse_reference(reference),
            question=question,
            choices=tuple(choices),
            images=tuple(images),
            source=source,
            has_image=has_image,
            cut=cut,
            accepted=tuple(accepted),
        )


@dataclass(frozen=True, slots=True)
class Score:
    """What one signal says.

    `value` is in [0, 1]; None means that the signal does not apply to this sample (its weight is shared out among the
    others). A signal that *failed* raises instead.
    """

    value: float | None
    reason: str


class Started(Generic[Said]):
    """A score that is on its way already, so that nobody has to make a task of it to wait for several at once.

    Args:
        pending: what is waited for; it fails as the signal does.
        read: makes the score of it.
    """

    __slots__ = ("_read", "pending")

    def __init__(self, pending: asyncio.Future[Said], read: Callable[[Said], Score]) -> None:
        self.pending, self._read = pending, read

    def __await__(self) -> Generator[Any, None, Score]:
        said = yield from self.pending
        return self._read(said)


class Reward(Protocol):
    """One signal. The name of its file is the name of its metric.

    A signal may also have three attributes that are looked at when they are there: `wants_images` (bool; True fills
    `Sample.images`), `statistics()` (dict of counters and gauges of what it calls, for the step metrics; names that
    start with `latency` are gauges, all others counters that only grow) and `settled(sample)` (the score, where rules
    alone decide and nobody is asked; else None).
    """

    def score(self, sample: Sample) -> Score | Awaitable[Score]:
        """Score one rollout. `async` where something is waited for; a signal that only computes may be plain.

        A signal of which thousands wait at once may return a `Started`, which costs less than a coroutine.

        Raises:
            JudgeError, EmbedderError, RewardError: there is no score; the sample is masked, never scored 0.
        """
        ...


def is_gauge(name: str) -> bool:
    """Whether a statistic is a state and no counter: its last part starts with `latency`."""
    return name.rpartition("/")[2].startswith("latency")
