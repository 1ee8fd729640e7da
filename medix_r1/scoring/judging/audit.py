"""`medix-r1 reward audit`: agreement of the reward's judge with a better judge or with labels.

Only rows that a judge decides are compared. Rows that a signal decides by rule (the answer equals the reference, is
empty, too long or repeats the question) would raise every agreement; they are counted and left out. So are rows that
one side could not score.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import warnings
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AliasChoices, Field, model_validator

from medix_r1.agreement import Agreement, agreement
from medix_r1.errors import ConfigError, EmbedderError, JudgeError, JudgeUnavailable
from medix_r1.rewards.base import Reward, Sample, SampleReader, Score
from medix_r1.rewards.groups.whole_group import needs_group
from medix_r1.rewards.needs import needs_of
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.judging.kinds import Rated, kind_of
from medix_r1.scoring.rows import Line, Row, read

YES, NO = "YES", "NO"


class AuditRow(Row):
    """A row with a whole `completion`, or with the bare answer as `prediction`.

    Attributes:
        prediction: the answer itself, not parsed.
        label: whether the answer is right, from a person or a trusted source.
        kind: of the answer, in the file's own words; also called `family`. By default what rules see in it.
        parts: values that a run recorded, by signal.
    """

    completion: Annotated[str, Field(validation_alias=AliasChoices("completion", "reply"))] = ""
    prediction: str | None = None
    label: bool | None = None
    kind: Annotated[str | None, Field(validation_alias=AliasChoices("kind", "family"))] = None
    parts: dict[str, float | None] | None = None

    @model_validator(mode="after")
    def _holds_an_answer(self) -> AuditRow:
        if self.prediction is None and "completion" not in self.model_fields_set:
            raise ValueError("completion (the whole reply) or prediction (the answer) is needed")
        return self

    def sample(self, reader: SampleReader, images: Sequence[bytes] = ()) -> Sample:
        sample = super().sample(reader, images)
        if self.prediction is None:
            return sample
        parsed = replace(sample.completion, text=self.prediction, answer=self.prediction, problems=())
        return replace(sample, completion=parsed)


@dataclass(frozen=True, slots=True)
class Opinion:
    """One side's rating of a row: `value` in [0, 1], None when it has none; `reason` says why."""

    value: float | None
    reason: str

    @property
    def category(self) -> str:
        return YES if (self.value or 0.0) >= 0.5 else NO


Opinions = tuple[Opinion, Opinion] | None  # of both sides; None when a rule decides the row


def has_rule_score(signal: Reward, sample: Sample) -> bool:
    """Whether a rule decides the signal's score of this sample, without a model."""
    by_rule = getattr(signal, "rule_score", None)
    if by_rule is None and (by_rule := getattr(signal, "settled", None)) is not None:
        warnings.warn(f"{type(signal).__name__}.settled: rename it to rule_score", DeprecationWarning, stacklevel=2)
    return by_rule is not None and by_rule(sample) is not None


class Rater(Protocol):
    """One side of an audit."""

    name: str

    async def rate(self, row: AuditRow, sample: Sample) -> Opinion:
        """Rate a row.

        Raises:
            JudgeUnavailable: its server is down.
        """
        ...


class SignalRater:
    """A signal of a reward, usually its judge."""

    def __init__(self, ready: ReadyReward, signal: str, name: str) -> None:
        found: Any = ready.composite.signals[signal]
        if needs_group(found):
            says = f"{signal} scores whole groups, and an audit asks about one reply at a time; audit another signal"
            raise ConfigError.of(f"reward.signals.{signal}", "scores-groups", says)
        if needs := needs_of(found):
            says = f"{signal} only reads {', '.join(needs)}; audit that one"
            raise ConfigError.of(f"reward.signals.{signal}", "reads-other-signals", says)
        self.name, self._signal = name, found

    async def rate(self, row: AuditRow, sample: Sample) -> Opinion:
        try:
            result = self._signal.score(sample)
            score = result if isinstance(result, Score) else await result
        except JudgeUnavailable:
            raise
        except (JudgeError, EmbedderError) as error:
            return Opinion(None, str(error))
        return Opinion(score.value, score.reason)


class RecordedRater:
    """The signal's values that a run recorded in the file."""

    def __init__(self, signal: str) -> None:
        self.name, self._signal = f"recorded {signal}", signal

    async def rate(self, row: AuditRow, sample: Sample) -> Opinion:
        value = (row.parts or {}).get(self._signal)
        return Opinion(value, "recorded" if value is not None else f"parts.{self._signal} is not there or null")


class LabelRater:
    """The row's label."""

    name = "label"

    async def rate(self, row: AuditRow, sample: Sample) -> Opinion:
        return Opinion(None if row.label is None else float(row.label), "no label" if row.label is None else "label")


@dataclass(frozen=True, slots=True)
class Compared:
    """A row that both sides rated."""

    line: int
    id: str
    question: str
    reference: str
    answer: str
    first: Opinion
    second: Opinion

    @property
    def distance(self) -> float:
        return abs((self.first.value or 0.0) - (self.second.value or 0.0))


@dataclass
class Audit:
    """The result of an audit.

    Attributes:
        first, second: names of the two sides.
        rows: all rows.
        by_rule: rows that a rule decides.
        unscored: (line, reason) of rows that one side could not score.
        agreement: None when there was nothing to compare.
        disagreements: rows with different verdicts.
        worst: the disagreements that are furthest apart.
        rated: what both sides said of each row that was compared.
    """

    first: str
    second: str
    rows: int = 0
    by_rule: int = 0
    unscored: list[tuple[int, str]] = field(default_factory=list)
    agreement: Agreement | None = None
    disagreements: int = 0
    worst: list[Compared] = field(default_factory=list)
    rated: list[Rated] = field(default_factory=list)


async def audit(
    path: Path,
    reader: SampleReader,
    first: Rater,
    second: Rater,
    *,
    signals: Collection[Reward],
    worst: int,
    in_flight: int,
    with_images: bool,
    advance: Callable[[int], None],
) -> Audit:
    """Let both sides rate every row.

    Args:
        path: a file that `rows.check(path, AuditRow)` has accepted.
        reader: parses replies.
        first: one side.
        second: the other side.
        signals: the audited signal of each side; a row that one of them decides by rule is not compared.
        worst: number of disagreements to keep: those furthest apart, ties by line.
        in_flight: rows rated concurrently.
        with_images: whether to load images for a judge.
        advance: called after each row.

    Raises:
        JudgeUnavailable: a server is down; a partial audit would be biased, so there is none.
    """
    found = Audit(first.name, second.name)

    async def ask(row: AuditRow, sample: Sample) -> Opinions:
        if any(has_rule_score(signal, sample) for signal in signals):
            return None
        one, other = await asyncio.gather(first.rate(row, sample), second.rate(row, sample))
        return one, other

    names: tuple[list[str], list[str]] = ([], [])
    furthest: list[tuple[float, int, Compared]] = []
    async for line, sample, opinions in _opinions(path, reader, ask, in_flight, with_images):
        found.rows += 1
        advance(1)
        if opinions is None:
            found.by_rule += 1
            continue
        one, other = opinions
        if missing := [f"{who.name}: {o.reason}" for who, o in ((first, one), (second, other)) if o.value is None]:
            found.unscored.append((line.number, "; ".join(missing)))
            continue
        assert one.value is not None
        assert other.value is not None
        about = zlib.crc32(f"{line.row.question}\n{line.row.reference}".encode(errors="surrogatepass"))
        found.rated.append(Rated(line.row.kind or kind_of(sample), one.value, other.value, about))
        names[0].append(one.category)
        names[1].append(other.category)
        if one.category != other.category:
            found.disagreements += 1
            row, answer = line.row, sample.completion.answer or ""
            compared = Compared(line.number, row.name, row.question, sample.reference.answer, answer, one, other)
            heapq.heappush(furthest, (compared.distance, -line.number, compared))
            if len(furthest) > worst:
                heapq.heappop(furthest)
    found.worst = [compared for *_, compared in sorted(furthest, key=lambda entry: entry[:2], reverse=True)]
    if names[0]:
        found.agreement = agreement(*names, categories=(YES, NO))
    return found


async def _opinions(
    path: Path,
    reader: SampleReader,
    ask: Callable[[AuditRow, Sample], Coroutine[Any, Any, Opinions]],
    in_flight: int,
    with_images: bool,
) -> AsyncIterator[tuple[Line[AuditRow], Sample, Opinions]]:
    """Rows in the order of the file, with both opinions."""
    window: deque[tuple[Line[AuditRow], Sample, asyncio.Task[Opinions]]] = deque()
    lines: Iterator[Line[AuditRow]] = read(path, AuditRow)
    try:
        while True:
            for line in itertools.islice(lines, in_flight - len(window)):
                sample = line.row.sample(reader, line.row.images(path.parent) if with_images else ())
                window.append((line, sample, asyncio.create_task(ask(line.row, sample))))
            if not window:
                return
            line, sample, task = window.popleft()
            yield line, sample, await task
    finally:
        for *_, task in window:
            task.cancel()
        await asyncio.gather(*(task for *_, task in window), return_exceptions=True)
