"""The order of training rows: a sampler of the data loader whose state is saved with the loader's.

With `weigh: none` each row comes once a pass, in random order. Otherwise a row is drawn with probability in proportion
to its weight: the probability that a group of it teaches something, and `floor` at least, so that no row is given up.
A pass has as many draws as there are rows; a row that was drawn rests for the length of a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medix_r1.training.verl_plugin.curriculum.pass_rates import Numbers, PassRates

_KEPT = 0.9  # share of the sums over earlier steps
EVEN, ADAPT = "none", "adapt"


@dataclass(frozen=True, slots=True)
class Settings:
    """`data.curriculum`; configs/verl.yaml explains the keys."""

    band: tuple[float, float] | None
    weigh: str
    signal: str
    floor: float
    strength: float
    memory: float

    def in_band(self, rate: float | None) -> bool:
        """Whether a row with this pass rate is trained on; one without is, unless there is a band."""
        return self.band is None or (rate is not None and self.band[0] <= rate <= self.band[1])


class Curriculum:
    """Yields numbers of rows for ever, `len` of them a pass.

    Args:
        rates: pass rate of each row that is drawn from; None where it is not known.
        left_out: pass rates of the rows outside the band, which are never drawn.
        settings: the rest of them.
        group: replies of a group.
        batch: prompts of a step.
        seed: of the order.
    """

    def __init__(
        self,
        rates: Sequence[float | None],
        left_out: Sequence[float | None],
        settings: Settings,
        *,
        group: int,
        batch: int,
        seed: int,
    ) -> None:
        self._settings, self._group = settings, group
        self._rates = PassRates(rates, settings.strength, settings.memory)
        outside = PassRates(left_out, settings.strength, settings.memory).teaches(group)
        self._outside = (len(outside), float(outside.mean()) if len(outside) else 0.0)
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._even = settings.weigh == EVEN
        self._resting: deque[int] = deque(maxlen=len(rates) if self._even else min(batch, len(rates) // 2))
        self._weights = self._weighed()
        self._unnamed: list[int] = []
        self._in_flight: dict[str, tuple[int, float]] = {}  # uid → row, and its weight when it was drawn
        self._drawn = np.zeros(len(rates), dtype=bool)
        self._even_sums = np.zeros(2)

    def __len__(self) -> int:
        return len(self._rates)

    def __iter__(self) -> _Pass:
        return _Pass(self)

    def draw(self, *, begins: bool) -> int:
        """The next row; `begins`: it is the first of a pass."""
        if begins and self._even:
            self._resting.clear()
        weights = self._weights.copy()
        weights[list(self._resting)] = 0.0
        ends = np.cumsum(weights)
        row = int(np.searchsorted(ends, self._random.random() * ends[-1], side="right"))
        row = min(row, int(np.flatnonzero(weights)[-1]))  # the product may be rounded up to the very end
        if self._resting.maxlen:
            self._resting.append(row)
        self._unnamed.append(row)
        self._drawn[row] = True
        return row

    def name(self, uids: Sequence[str]) -> None:
        """Say what the rows drawn last are called; the loader drops earlier ones, of a pass's last, short batch."""
        rows, self._unnamed = self._unnamed[-len(uids) :], []
        self._in_flight |= {uid: (row, float(self._weights[row])) for uid, row in zip(uids, rows, strict=True)}

    def learn(self, groups: Mapping[str, Sequence[float]], *, refilled: bool) -> dict[str, float]:
        """Take in finished groups; return metrics.

        Args:
            groups: uid → value of the signal of each reply that has one. Groups with fewer than two say nothing.
            refilled: groups that teach nothing are replaced, so that fewer of them are fewer refills.
        """
        taught: list[bool] = []
        weights: list[float] = []
        for uid in sorted(groups.keys() & self._in_flight.keys()):
            values, (row, weight) = groups[uid], self._in_flight.pop(uid)
            if len(values) < 2:
                continue
            taught.append(min(values) < max(values))
            weights.append(weight)
            if self._settings.weigh == ADAPT:
                self._rates.observe(row, sum(value >= 0.5 for value in values), len(values))
        self._weights = self._weighed()
        return self._metrics(np.array(taught, dtype=np.float64), np.array(weights), refilled) if taught else {}

    def forget(self, waiting: Collection[str]) -> None:
        """Drop the names of prompts that are no longer waited for: lost ones, and those of finished steps."""
        self._in_flight = {uid: drawn for uid, drawn in self._in_flight.items() if uid in waiting}

    def _weighed(self) -> Numbers:
        if self._even:
            return np.ones(len(self._rates))
        return np.maximum(self._rates.teaches(self._group), self._settings.floor)

    def _metrics(self, taught: Numbers, weights: Numbers, refilled: bool) -> dict[str, float]:
        share = float(taught.mean())
        # As if all rows were equally probable; over some steps, as a few groups of small weight would decide one step.
        self._even_sums = _KEPT * self._even_sums + [(taught / weights).sum(), (1.0 / weights).sum()]
        inside = float(self._even_sums[0] / self._even_sums[1])
        outside, expected = self._outside
        rows = len(self._rates)
        evenly = (rows * inside + outside * expected) / (rows + outside)
        return {
            "curriculum/teaching_share": share,
            "curriculum/teaching_share_evenly": evenly,
            f"curriculum/{'refills' if refilled else 'groups'}_saved": float(taught.sum()) / evenly - len(taught)
            if evenly
            else 0.0,
            "curriculum/pass_rate": float(self._rates.means().mean()),
            "curriculum/drawn_rows": float(self._drawn.mean()),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that decides what is drawn next, as numbers and NumPy arrays."""
        return {
            "random": self._random.bit_generator.state,
            "right": self._rates.right.copy(),
            "wrong": self._rates.wrong.copy(),
            "weights": self._weights.copy(),
            "resting": list(self._resting),
            "in_flight": dict(self._in_flight),
            "drawn": self._drawn.copy(),
            "even_sums": self._even_sums.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self._random.bit_generator.state = state["random"]
        self._rates.right, self._rates.wrong = state["right"].copy(), state["wrong"].copy()
        self._weights, self._drawn = state["weights"].copy(), state["drawn"].copy()
        self._even_sums = state["even_sums"].copy()
        self._resting = deque(state["resting"], maxlen=self._resting.maxlen)
        self._in_flight, self._unnamed = dict(state["in_flight"]), []


class _Pass(Iterator[int]):
    """One pass; the data loader saves how far it is."""

    def __init__(self, rows: Curriculum) -> None:
        self._rows, self._yielded = rows, 0

    def __next__(self) -> int:
        if self._yielded == len(self._rows):
            raise StopIteration
        self._yielded += 1
        return self._rows.draw(begins=self._yielded == 1)

    def state_dict(self) -> dict[str, int]:
        return {"yielded": self._yielded}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self._yielded = state["yielded"]
