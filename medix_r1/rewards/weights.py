"""Weights of the signals: which table a row gets, renormalisation, and validation."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from medix_r1.errors import Problem
from medix_r1.grammar import ModalityTag
from medix_r1.rewards.base import NO_MODALITY, Sample
from medix_r1.rewards.references import nearest_tag

_DECIMALS = 6  # of rescaled weights
BY = ("source", "modality")  # in order of precedence


class WeightTables:
    """Looks up the weights of a row: those of its source, else of its modality, else the default ones.

    Args:
        signals: names of all signals; missing weights are 0.
        default: name → weight.
        tables: `source` or `modality` → value of the row → weights.
    """

    def __init__(
        self,
        signals: Mapping[str, object],
        default: Mapping[str, float],
        tables: Mapping[str, Mapping[str, Mapping[str, float]] | None] | None,
    ) -> None:
        def whole(weights: Mapping[str, float]) -> Weights:
            total = math.fsum(weights.values())  # 1, but for rounding
            return Weights((name, float(weights.get(name, 0.0)) / total) for name in signals)

        self.default = whole(default)
        self._source, self._modality = (
            {value: whole(weights) for value, weights in ((tables or {}).get(by) or {}).items()} for by in BY
        )
        self.any = bool(self._source or self._modality)

    def of(self, sample: Sample) -> Weights:
        """The weights of a row, before renormalisation."""
        return self._source.get(sample.source) or self._modality.get(sample.modality) or self.default


class Weights(dict[str, float]):
    """One table, name → weight. It is hashed by identity, so that `renormalise` can be memoised."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


@functools.lru_cache(maxsize=4096)
def renormalise(weights: Weights, left_out: tuple[str, ...]) -> Mapping[str, float] | None:
    """Set the weights of not-applicable signals to 0 and scale the others to sum to 1; None if no weight is left.

    The result is memoised and shared between samples, so callers must not change it.
    """
    left = math.fsum(weight for name, weight in weights.items() if name not in left_out)
    if left == 0.0:
        return None
    return {name: 0.0 if name in left_out else weight / left for name, weight in weights.items()}


def weight_problems(
    weights: Mapping[str, Any], signals: Mapping[str, object] | Sequence[str], key: str = "reward.weights"
) -> list[Problem]:
    """Every problem of one table of weights, each with its key and the fix.

    A signal that is null may keep a weight of 0.
    """
    left_out = {name for name, node in signals.items() if node is None} if isinstance(signals, Mapping) else set()
    known = sorted(set(signals) - left_out)
    problems = [
        Problem(f"{key}.{name}", "no-such-signal", f"no signal of this name; known: {', '.join(known)}")
        for name in weights
        if name not in signals
    ]
    problems += [
        Problem(f"{key}.{name}", "not-a-weight", f"{weight!r} must be a finite number of at least 0")
        for name, weight in weights.items()
        if not _is_weight(weight)
    ]
    problems += [
        Problem(f"{key}.{name}", "weight-without-signal", f"reward.signals.{name} is null, so its weight must be 0")
        for name, weight in weights.items()
        if name in left_out and _is_weight(weight) and weight > 0
    ]
    if not problems and not math.isclose(total := sum(weights.values()), 1.0, abs_tol=1e-6):
        problems.append(Problem(key, "sum-not-one", f"they sum to {total:g}; {_rescaled(weights, total, key)}"))
    return problems


def _rescaled(weights: Mapping[str, float], total: float, key: str) -> str:
    """The same weights with the sum 1, as overrides: rounded, with the rest of rounding on the largest."""
    if total <= 0 or not math.isfinite(total):
        return "give at least one of them a weight"
    scaled = {name: round(weight / total, _DECIMALS) for name, weight in weights.items()}
    largest = max(scaled, key=scaled.__getitem__)
    scaled[largest] = round(1 - math.fsum(weight for name, weight in scaled.items() if name != largest), _DECIMALS)
    pairs = ", ".join(f"{name}: {weight:.{_DECIMALS}g}" for name, weight in scaled.items())
    return f"in the same proportions, with the sum 1: '{key}={{{pairs}}}'"


def _is_weight(weight: Any) -> bool:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return number and math.isfinite(weight) and weight >= 0


def gate_problems(gate: str | None, signals: Mapping[str, object]) -> list[Problem]:
    """A problem if the gate is no signal of the reward."""
    if gate is None or signals.get(gate) is not None:
        return []
    known = sorted(name for name, node in signals.items() if node is not None)
    return [
        Problem("reward.gate", "no-such-signal", f"no signal '{gate}'; known: {', '.join(known)}, or null for no gate")
    ]


def veto_problems(signals: Mapping[str, object]) -> list[Problem]:
    """A problem for each signal whose `veto` is no other signal of the reward. Takes settings and built signals."""
    problems = []
    for name, node in signals.items():
        veto = node.get("veto") if isinstance(node, Mapping) else getattr(node, "veto", None)
        if veto is not None and (veto == name or signals.get(veto) is None):
            known = sorted(other for other, one in signals.items() if one is not None and other != name)
            text = f"no other signal '{veto}'; known: {', '.join(known)}, or null for no veto"
            problems.append(Problem(f"reward.signals.{name}.veto", "no-such-signal", text))
    return problems


def table_problems(tables: Mapping[str, Any] | None, signals: Mapping[str, object]) -> list[Problem]:
    """Every problem of `reward.weight_tables`; each table is checked like `reward.weights`."""
    problems: list[Problem] = []
    for by, table in (tables or {}).items():
        if by not in BY:
            problems.append(
                Problem(
                    f"reward.weight_tables.{by}", "no-such-table", "rows are told apart by source or by modality only"
                )
            )
            continue
        for value, weights in (table or {}).items():
            key = f"reward.weight_tables.{by}.{value}"
            if by == "modality" and value not in (*ModalityTag.__members__, NO_MODALITY):
                near = nearest_tag(str(value))
                hint = f"did you mean {near}?" if near else f"known: {', '.join(ModalityTag)}, {NO_MODALITY}"
                problems.append(Problem(key, "no-such-modality", f"no such modality; {hint}"))
            if not isinstance(weights, Mapping):
                problems.append(Problem(key, "not-a-mapping", "must be a mapping of signals to weights"))
            else:
                problems += weight_problems(weights, signals, key)
    return problems
