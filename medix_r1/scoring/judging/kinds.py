"""A judge's error by kind of answer: the rows' own kinds, or what rules see in answer and reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medix_r1.agreement import Interval, share_interval
from medix_r1.rewards.base import Sample
from medix_r1.rewards.monitors.laterality import sides
from medix_r1.rewards.monitors.negation import NegationMonitor
from medix_r1.wording.abstaining import abstains
from medix_r1.wording.alternatives import alternatives
from medix_r1.wording.numbers.quantities import quantities
from medix_r1.wording.spelling import normalize_answer

ALL = "all"
_LONGER = 4  # times the reference's words
_NEGATION = NegationMonitor()


@dataclass(frozen=True, slots=True)
class Rated:
    """A row that both sides rated, each in [0, 1]; from 1/2 on it is a YES. The second side is taken for the truth.

    Attributes:
        kind: of the answer.
        first, second: what each side said.
        question: a hash of question and reference, the same for all answers to them.
    """

    kind: str
    first: float
    second: float
    question: int = 0

    @property
    def is_right(self) -> bool:
        return self.second >= 0.5

    @property
    def says_yes(self) -> bool:
        return self.first >= 0.5


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of rows with Wilson's 95 % interval; without rows, share and interval are None."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> Interval | None:
        return share_interval(self.count, self.of) if self.of else None


@dataclass(frozen=True, slots=True)
class KindError:
    """The errors on one kind of answer.

    Attributes:
        kind: its name; `all` for all rows together.
        false_no: NO to right answers.
        false_yes: YES to wrong answers.
        pays_below: how often at most a policy is right whom wrong answers of this kind pay: it earns as much by them
            as by its own answers. None where they pay nobody, or all are right.
    """

    kind: str
    false_no: Rate
    false_yes: Rate
    pays_below: float | None = None


def kind_of(sample: Sample) -> str:
    """What rules see in an answer and its reference; the first that fits. English only."""
    answer, reference = sample.completion.answer or "", sample.reference.answer
    if sample.choices:
        return "multiple choice"
    if abstains(answer):
        return "does not know"
    if alternatives(answer, reference):
        return "several answers"
    if sides(answer) or sides(reference):
        return "side"
    if quantities(answer) or quantities(reference):
        return "number"
    if _NEGATION.score(sample).value is not None:
        return "negation"
    if len(normalize_answer(answer).split()) > _LONGER * max(1, len(normalize_answer(reference).split())):
        return "much longer"
    return "other words"


def by_kind(rated: Sequence[Rated]) -> list[KindError]:
    """Errors of all rows, then of each kind, the one with most errors first."""
    groups: dict[str, list[Rated]] = defaultdict(list)
    for row in rated:
        groups[row.kind].append(row)
    whole = _errors(ALL, rated)
    kinds = [_errors(kind, rows, whole) for kind, rows in groups.items()]
    return [whole, *sorted(kinds, key=lambda one: (-one.false_yes.count - one.false_no.count, one.kind))]


def youden(whole: KindError) -> tuple[float, Interval] | None:
    """Share of YES to right answers minus that to wrong ones, in [-1, 1], with a 95 % interval (Newcombe 1998).

    None where no row is right, or none is wrong.
    """
    false_no, false_yes = whole.false_no, whole.false_yes
    if false_no.share is None or false_yes.share is None:
        return None
    value = 1.0 - false_no.share - false_yes.share
    one, other = false_no.interval, false_yes.interval
    assert one is not None
    assert other is not None
    down = ((one.high - false_no.share) ** 2 + (other.high - false_yes.share) ** 2) ** 0.5
    up = ((false_no.share - one.low) ** 2 + (false_yes.share - other.low) ** 2) ** 0.5
    return value, Interval(max(-1.0, value - down), min(1.0, value + up))


def _errors(kind: str, rows: Sequence[Rated], whole: KindError | None = None) -> KindError:
    right, wrong = [row for row in rows if row.is_right], [row for row in rows if not row.is_right]
    false_no = Rate(sum(not row.says_yes for row in right), len(right))
    false_yes = Rate(sum(row.says_yes for row in wrong), len(wrong))
    pays = None if whole is None else _pays_below(false_yes, whole)
    return KindError(kind, false_no, false_yes, pays)


def _pays_below(false_yes: Rate, whole: KindError) -> float | None:
    """The p at which a policy that is right in p earns as much: p·(1 - false NO) + (1 - p)·false YES of all rows."""
    found = youden(whole)
    base = whole.false_yes.share
    if found is None or base is None or not false_yes.count or false_yes.share is None:
        return None
    above = false_yes.share - base
    if above <= 0:
        return None
    return min(1.0, above / found[0]) if found[0] > 0 else 1.0


def holes(errors: Sequence[KindError], limit: float) -> Iterator[KindError]:
    """Kinds whose wrong answers the judge accepts more often than `limit`, beyond chance."""
    for one in errors[1:]:
        if one.false_yes.interval is not None and one.false_yes.interval.low > limit:
            yield one
