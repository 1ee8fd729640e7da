"""What is believed of every row's pass rate, and how probably a group of it teaches something.

A row's pass rate p has a Beta(a, b) distribution: Jeffreys' prior Beta(1/2, 1/2), the measured difficulty counted as so
many replies, then the run's own groups. A group of n replies, each right or wrong, teaches unless all are alike, with
probability 1 - E[p^n] - E[(1-p)^n], where E[p^n] is the product of (a + i) / (a + b + i) over i < n.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

_JEFFREYS = 0.5
Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


class PassRates:
    """The Beta distributions of rows.

    Args:
        rates: measured pass rate of each row, in [0, 1]; None where it was not measured.
        strength: number of replies that a measured rate counts for.
        memory: share of earlier replies that is kept when a new group of the row comes; the policy has changed since.
    """

    def __init__(self, rates: Sequence[float | None], strength: float, memory: float) -> None:
        known = np.array([np.nan if rate is None else rate for rate in rates], dtype=np.float64)
        counted = np.where(np.isnan(known), 0.0, strength)
        known = np.nan_to_num(known)
        self.right, self.wrong, self._memory = known * counted, (1.0 - known) * counted, memory

    def __len__(self) -> int:
        return len(self.right)

    def observe(self, row: int, right: int, replies: int) -> None:
        """A group of a row had so many right replies."""
        self.right[row] = self._memory * self.right[row] + right
        self.wrong[row] = self._memory * self.wrong[row] + replies - right

    def means(self) -> Numbers:
        """Expected pass rate of each row."""
        a, b = self.right + _JEFFREYS, self.wrong + _JEFFREYS
        return a / (a + b)

    def teaches(self, replies: int) -> Numbers:
        """Probability, for each row, that the replies of a group of it are not all alike."""
        a, b = self.right + _JEFFREYS, self.wrong + _JEFFREYS
        alike_right, alike_wrong = np.ones_like(a), np.ones_like(b)
        for one in range(replies):
            alike_right *= (a + one) / (a + b + one)
            alike_wrong *= (b + one) / (a + b + one)
        return 1.0 - alike_right - alike_wrong
