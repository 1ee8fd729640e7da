"""Running estimates of how well two judges agree, from the questions that were drawn at random for both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from medix_r1.agreement import Interval, agreement_of_table, share_interval

_LEAST = 30  # drawn questions below which nothing is said of a drift
_DRIFT_LEVEL = 0.99  # confidence of both intervals; it is looked at again and again, so 95 % would cry wolf


@dataclass(frozen=True, slots=True)
class _Pair:
    small: bool
    strong: bool
    by_small: bool | None  # the cascade's verdict without the draw; None where the strong judge decides anyway


class RunningAgreement:
    """Estimates over the last `window` drawn questions, each counted once.

    Equal answers of a group are one question: counting them apart would make the intervals too narrow.

    Args:
        window: number of questions.
        expected: the agreement that is expected of both judges, in (0, 1]; None: that of the first `window` questions.
    """

    def __init__(self, *, window: int, expected: float | None) -> None:
        self._window, self._expected = window, expected
        self._recent: OrderedDict[bytes, _Pair] = OrderedDict()
        self._first: list[_Pair] = []
        self._seen = 0
        self._known: tuple[int, dict[str, float]] = (0, {})

    def add(self, key: bytes, *, small: bool, strong: bool, by_small: bool | None) -> None:
        """Take note of one question.

        Args:
            key: the question's hash.
            small: the small judge's verdict, at a probability of 0.5.
            strong: the strong judge's.
            by_small: the verdict by the small judge outside the band; None inside it.
        """
        if key in self._recent:
            return
        pair = _Pair(small, strong, by_small)
        self._recent[key] = pair
        self._seen += 1
        if len(self._recent) > self._window:
            self._recent.popitem(last=False)
        if self._expected is None and len(self._first) < self._window:
            self._first.append(pair)

    def estimates(self) -> dict[str, float]:
        """Name → number; all are gauges, and each is left out while it is not defined.

        `estimated_agreement` and `estimated_kappa` compare the two judges, `estimated_error` is the share of questions
        on which the cascade says other than the strong judge, each with the ends of its 95 % interval in `_low` and
        `_high`. `estimated_band_share` is the share inside the band, `estimated_drift` how far the agreement has fallen
        (0: not beyond chance), `estimated_from` the number of questions that all this rests on.
        """
        if self._known[0] != self._seen:
            self._known = self._seen, self._compute()
        return self._known[1]

    def _compute(self) -> dict[str, float]:
        pairs = list(self._recent.values())
        counts = [[sum((p.small, p.strong) == (a, b) for p in pairs) for b in (True, False)] for a in (True, False)]
        found = agreement_of_table(("YES", "NO"), counts)
        wrong = sum(pair.by_small is not None and pair.by_small != pair.strong for pair in pairs)
        numbers = {
            "estimated_from": float(len(pairs)),
            "estimated_band_share": sum(pair.by_small is None for pair in pairs) / len(pairs),
            **_with_interval("estimated_agreement", found.share, found.share_interval),
            **_with_interval("estimated_error", wrong / len(pairs), share_interval(wrong, len(pairs))),
        }
        if found.kappa is not None:
            numbers |= _with_interval("estimated_kappa", found.kappa, found.kappa_interval)
        drift = self._drift(pairs)
        return numbers if drift is None else numbers | {"estimated_drift": drift}

    def _drift(self, recent: Sequence[_Pair]) -> float | None:
        """How far the agreement has fallen, 0 where that may be chance; None while there are too few questions."""
        if len(recent) < _LEAST:
            return None
        before, at_least = self._expected, self._expected
        if before is None or at_least is None:
            if self._seen < 2 * self._window:  # the first and the last questions still overlap
                return None
            before, at_least = _share(self._first), _interval(self._first).low
        fallen = _interval(recent).high < at_least
        return before - _share(recent) if fallen else 0.0


def _share(pairs: Collection[_Pair]) -> float:
    return sum(pair.small == pair.strong for pair in pairs) / len(pairs)


def _interval(pairs: Collection[_Pair]) -> Interval:
    return share_interval(sum(pair.small == pair.strong for pair in pairs), len(pairs), level=_DRIFT_LEVEL)


def _with_interval(name: str, value: float, interval: Interval | None) -> dict[str, float]:
    ends = {} if interval is None else {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {name: value, **ends}
