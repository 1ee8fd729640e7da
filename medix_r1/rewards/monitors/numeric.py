"""Monitor `numeric`: 1 when the answer's quantities agree with the reference's, after unit conversion."""

from __future__ import annotations

from collections.abc import Sequence

from medix_r1.errors import ConfigError
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.numbers.quantities import Quantity, agree, codes, quantities, ratios, ways_to_read

_NO_NUMBER_GIVEN = Score(None, "the answer has no number, and may leave it out")
_NO_NUMBER = Score(None, "the reference has no number")


class NumericMonitor:
    """Matching quantities / max(quantities of the answer, quantities of the reference).

    Each quantity of the answer matches at most one of the reference, so a list of guesses earns little. A quantity that
    is given twice, in two units, counts once. A number without a unit matches the same number with one, because the
    question may have named the unit. A ratio in the wrong order (2:1 for 1:2) scores 0. Numbers in words count, and of
    the ways to read a text the best one does (15/15 is 15, 3+4=7 is 7). Not applicable when the reference has no
    number, or only such as a right answer may leave out (one lesion, the fifth rib, type 2) and the answer has none.

    Args:
        tolerance: allowed difference relative to the reference's value, in [0, 1).

    Raises:
        ConfigError: the tolerance is out of range.
    """

    def __init__(self, *, tolerance: float = 0.01) -> None:
        if not 0.0 <= tolerance < 1.0:
            raise ConfigError.of("reward.signals.numeric.tolerance", "out-of-range", f"{tolerance} is not in [0, 1)")
        self.tolerance = tolerance

    def score(self, sample: Sample) -> Score:
        answer, reference = sample.completion.answer or "", sample.reference.answer
        wanted, given = quantities(reference), quantities(answer)
        if not wanted:
            return _NO_NUMBER
        if turned := _reversed_ratio(answer, reference):
            return Score(0.0, f"{turned} the other way round")
        if not given and all(quantity.weak for quantity in wanted):
            return _NO_NUMBER_GIVEN
        plain = self._compare(self._once(given), self._once(wanted))
        if plain.value == 1.0:
            return plain
        names = (codes(answer), codes(reference))
        found = (
            self._compare(self._once(one), self._once(other), *names)
            for one in (given, *ways_to_read(answer))
            for other in (wanted, *ways_to_read(reference))
        )
        return max(found, key=lambda score: score.value or 0.0)

    def _compare(
        self,
        given: Sequence[Quantity],
        wanted: Sequence[Quantity],
        names: Sequence[str] = (),
        wanted_names: Sequence[str] = (),
    ) -> Score:
        """Compare two lists; a bare number may also be inside a word of the other text: "brca 1" and "brca1"."""
        left, missing = list(given), []
        for quantity in wanted:
            match = next((other for other in left if agree(other, quantity, self.tolerance)), None)
            if match is not None:
                left.remove(match)
            elif quantity.unit or quantity.text not in names:
                missing.append(quantity.text)
        left = [other for other in left if not other.extra and (other.unit or other.text not in wanted_names)]
        matched = len(wanted) - len(missing)
        value = matched / max(len(wanted), matched + len(left), 1)
        notes = [f"{', '.join(missing)} missing"] if missing else []
        notes += [f"{', '.join(quantity.text for quantity in left[:5])} too many"] if left else []
        return Score(value, "; ".join(notes) or "all quantities agree")

    def _once(self, found: Sequence[Quantity]) -> list[Quantity]:
        """Leave out a quantity that repeats the one before it in another unit: "2.8 cm (28 mm)"."""
        return [
            quantity
            for place, quantity in enumerate(found)
            if not place
            or quantity.unit in ("", found[place - 1].unit)
            or not self._repeats(quantity, found[place - 1])
        ]

    def _repeats(self, quantity: Quantity, before: Quantity) -> bool:
        return bool(before.unit) and agree(quantity, before, self.tolerance)


def _reversed_ratio(answer: str, reference: str) -> str | None:
    """The first ratio of the reference (1:2, 120/80) that the answer has only in the reverse order, or None."""
    given, wanted = ratios(answer), ratios(reference)
    return next((f"{a}:{b}" for a, b in wanted if a != b and (b, a) in given and (a, b) not in given), None)
