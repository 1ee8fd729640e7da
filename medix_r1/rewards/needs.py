"""Signals that read the scores of others: which ones, whether that can work, and in what order."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError, Problem


def needs_of(signal: object) -> tuple[str, ...]:
    """Names in `needs` of a built signal, or of its settings; where the settings have none, those of its class."""
    if not isinstance(signal, Mapping):
        return _names(getattr(signal, "needs", ()))
    if "needs" in signal:
        return _names(signal["needs"])
    try:
        return _names(getattr(user_code.load(signal.get("_target_"), "_target_"), "needs", ()))
    except ConfigError:
        return ()  # reported when the config was composed


def _names(needs: Any) -> tuple[str, ...]:
    return tuple(map(str, needs)) if isinstance(needs, list | tuple) else ()


def needs_problems(signals: Mapping[str, object]) -> list[Problem]:
    """A problem for each need that is no other signal, and one for signals that wait for each other."""
    there = {name: needs_of(signal) for name, signal in signals.items() if signal is not None}
    problems = []
    for name, needs in there.items():
        for needed in needs:
            if needed == name or needed not in there:
                known = ", ".join(sorted(there.keys() - {name}))
                text = f"no other signal '{needed}'; known: {known}"
                problems.append(Problem(f"reward.signals.{name}.needs", "no-such-signal", text))
    if not problems:
        try:
            TopologicalSorter(there).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            text = f"signals that wait for each other: {' needs '.join(circle)}; take one of these needs away"
            problems.append(Problem(f"reward.signals.{circle[0]}.needs", "needs-in-a-circle", text))
    return problems


def in_order(signals: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the signals that need others, each after those that it needs."""
    there = {name: needs_of(signal) for name, signal in signals.items() if signal is not None}
    return tuple(name for name in TopologicalSorter(there).static_order() if there.get(name))
