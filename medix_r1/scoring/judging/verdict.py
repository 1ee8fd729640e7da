"""Whether a judge is good enough to train with, by its measured errors; and the tables that say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medix_r1.agreement import Interval
from medix_r1.scoring.judging.kinds import KindError, Rate, Rated, by_kind, holes, youden
from medix_r1.scoring.judging.orders import Order, simulate

ENOUGH_KEPT = 0.8  # of the push: with less, training needs a quarter more steps for the same
HOLE = 0.1  # share of a kind's wrong answers that get a YES
KINDS = ("kind of answer", "right", "said NO", "wrong", "said YES", "pays while right in less than")
ORDERS = ("right in", "in order", "tied", "reversed", "noise", "wrong way", "kept")


@dataclass(frozen=True, slots=True)
class Quality:
    """A judge's errors and what they do to a group.

    Attributes:
        errors: of all rows, then by kind.
        youden: share of YES to right answers minus that to wrong ones, with its interval; None without both.
        orders: simulated groups, by the share of right answers.
        enough: whether the judge is good enough by `ENOUGH_KEPT` and `HOLE`; None when there is too little to tell.
    """

    errors: tuple[KindError, ...]
    youden: tuple[float, Interval] | None
    orders: tuple[Order, ...]

    @property
    def enough(self) -> bool | None:
        if not self.orders:
            return None
        return self.least_kept >= ENOUGH_KEPT and not list(holes(self.errors, HOLE))

    @property
    def least_kept(self) -> float:
        """The lowest end of the intervals of `kept`, over the shares of right answers."""
        return min(order.kept_interval.low for order in self.orders)


def quality(rated: Sequence[Rated], size: int) -> Quality:
    """Look at what both sides said of the same rows.

    Args:
        rated: rows; the second side is taken for the truth.
        size: answers of a group.
    """
    errors = tuple(by_kind(rated))
    return Quality(errors, youden(errors[0]), tuple(simulate(rated, size)))


def sentences(found: Quality) -> list[str]:
    """What follows, one line each; the last is the verdict."""
    if found.youden is None:
        return ["nothing is said of a group's order: no row is right, or none is wrong, for the second side"]
    value, interval = found.youden
    lines = [f"YES to right answers minus YES to wrong ones: {value:.3f} ({interval.low:.3f} to {interval.high:.3f})"]
    lines += [
        f"wrong answers of the kind '{one.kind}' get a YES in {_rate(one.false_yes)}, beyond {HOLE:.0%}"
        for one in holes(found.errors, HOLE)
    ]
    if interval.low <= 0:
        return [*lines, "NOT good enough: it may not tell right from wrong, and training with it may go backwards"]
    kept = found.least_kept
    if found.enough:
        return [*lines, f"good enough: at least {kept:.2f} of the push towards right answers is kept, and no kind pays"]
    why = [f"as little as {kept:.2f} of the push is kept (wanted: {ENOUGH_KEPT:g})"] if kept < ENOUGH_KEPT else []
    why += ["a kind of wrong answer pays"] if list(holes(found.errors, HOLE)) else []
    return [*lines, f"not good enough: {'; '.join(why)}. A better judge, or judge=cascade, mends it (docs/judge.md)"]


def kind_rows(found: Quality) -> Iterator[list[str]]:
    """Cells of the table of errors, under `KINDS`."""
    for one in found.errors:
        pays = "" if one.pays_below is None else f"{one.pays_below:.0%} of its answers"
        no, yes = one.false_no, one.false_yes
        yield [one.kind, str(no.of), _rate(no), str(yes.of), _rate(yes), pays]


def order_rows(found: Quality) -> Iterator[list[str]]:
    """Cells of the table of simulated groups, under `ORDERS`."""
    for order in found.orders:
        shares = (order.in_order, order.tied, order.reversed, order.noise, order.wrong_way)
        low, high = order.kept_interval.low, order.kept_interval.high
        kept = f"{order.kept:.2f} ({low:.2f} to {high:.2f})"
        yield [f"{order.right_share:.0%}", *(f"{share:.1%}" for share in shares), kept]


def as_fields(found: Quality) -> dict[str, Any]:
    """For JSON."""
    errors = [
        {
            "kind": one.kind,
            "right": one.false_no.of,
            "said_no": one.false_no.count,
            "wrong": one.false_yes.of,
            "said_yes": one.false_yes.count,
            "pays_below": one.pays_below,
        }
        for one in found.errors
    ]
    known = found.youden
    return {
        "errors_by_kind": errors,
        "youden": None if known is None else {"value": known[0], **asdict(known[1])},
        "group_orders": [asdict(order) for order in found.orders],
        "good_enough": found.enough,
    }


def _rate(rate: Rate) -> str:
    if rate.share is None or rate.interval is None:
        return "–"
    return f"{rate.share:.1%} ({rate.interval.low:.1%} to {rate.interval.high:.1%})"
