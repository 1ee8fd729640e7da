"""Alarms: rules on a run's metrics that say when it is going wrong, and what to do about it.

A rule looks at windows of steps, never at one step, and only at steps that have the metric (held-out metrics come at
some steps). Everything here is plain arithmetic on what was logged, so that the same rules judge a run while it trains,
a run that has ended, and the recorded runs of the tests. The rules are lines of `configs/alarms/default.yaml`.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medix_r1.errors import ConfigError, Problem

Action = Literal["warn", "stop", "off"]
ACTIONS: tuple[Action, ...] = ("warn", "stop", "off")
History = Sequence[Mapping[str, float]]  # one mapping a step, oldest first


@dataclass(frozen=True, slots=True)
class Alarm:
    """A rule that fired."""

    name: str
    action: Action
    message: str  # what was seen, in numbers
    advice: str


class Rule(ABC):
    """One alarm's rule.

    Args:
        window: steps (with the metric) that are averaged; at least 1.
        action: `warn` says so, `stop` ends the run with a checkpoint, `off` does nothing.
        advice: one sentence on what to do.

    Raises:
        ConfigError: the window or the action makes no sense.
    """

    def __init__(self, *, window: int, action: Action, advice: str) -> None:
        problems = [] if window >= 1 else [Problem("alarms.*.window", "out-of-range", f"{window} is less than 1 step")]
        if action not in ACTIONS:
            problems.append(Problem("alarms.*.action", "not-a-choice", f"'{action}' is none of {', '.join(ACTIONS)}"))
        if problems:
            raise ConfigError(problems)
        self.window, self.action, self.advice = window, action, advice

    @abstractmethod
    def seen(self, history: History) -> str | None:
        """What is wrong, in words and numbers; None while nothing is or while too little is known."""


class Above(Rule):
    """The mean of the last window is above `threshold`."""

    def __init__(self, *, metric: str, threshold: float, window: int, action: Action, advice: str) -> None:
        super().__init__(window=window, action=action, advice=advice)
        self.metric, self.threshold = metric, threshold

    def seen(self, history: History) -> str | None:
        values = _values(history, self.metric)
        if len(values) < self.window or (now := _mean(values[-self.window :])) <= self.threshold:
            return None
        return f"{self.metric} is {now:.3g} over the last {self.window} steps, above {self.threshold:g}"


class Falls(Rule):
    """The mean of the last window is below the best earlier one: by `by` (absolute) or by the share `share` of it."""

    def __init__(
        self,
        *,
        metric: str,
        window: int,
        action: Action,
        advice: str,
        by: float | None = None,
        share: float | None = None,
    ) -> None:
        super().__init__(window=window, action=action, advice=advice)
        if (by is None) == (share is None):
            raise ConfigError.of("alarms.*", "needs-by-or-share", f"{metric} needs either `by` or `share`")
        self.metric, self.by, self.share = metric, by, share

    def seen(self, history: History) -> str | None:
        windows = list(_windows(_values(history, self.metric), self.window))
        if len(windows) <= self.window:  # the last window shares no step with the first
            return None
        now, best = windows[-1], max(windows[: -self.window])
        allowed = self.by if self.by is not None else abs(best) * (self.share or 0.0)
        if best - now <= allowed:
            return None
        return f"{self.metric} fell from {best:.3g} to {now:.3g} (means of {self.window} steps)"


class Rises(Rule):
    """The mean of the last window is more than `by` above the first one's; `minus` makes it a gap of two metrics."""

    def __init__(
        self, *, metric: str, by: float, window: int, action: Action, advice: str, minus: str | None = None
    ) -> None:
        super().__init__(window=window, action=action, advice=advice)
        self.metric, self.minus, self.by = metric, minus, by

    def seen(self, history: History) -> str | None:
        values = _values(history, self.metric, self.minus)
        if len(values) < 2 * self.window:
            return None
        first, now = _mean(values[: self.window]), _mean(values[-self.window :])
        if now - first <= self.by:
            return None
        name = f"{self.metric} - {self.minus}" if self.minus else self.metric
        return f"{name} rose from {first:.3g} to {now:.3g} (means of {self.window} steps)"


class Parts(Rule):
    """Held-out falls below its best by `fall` while training, over the same steps, rises by `rise`.

    Args:
        train: metric of each step.
        heldout: metric of some steps.
        window: validations that are averaged.
    """

    def __init__(
        self, *, train: str, heldout: str, fall: float, rise: float, window: int, action: Action, advice: str
    ) -> None:
        super().__init__(window=window, action=action, advice=advice)
        self.train, self.heldout, self.fall, self.rise = train, heldout, fall, rise

    def seen(self, history: History) -> str | None:
        steps = [index for index, step in enumerate(history) if self.heldout in step]
        heldout = list(_windows([history[index][self.heldout] for index in steps], self.window))
        if len(heldout) <= self.window:
            return None
        best = max(range(len(heldout) - self.window), key=heldout.__getitem__)
        until = steps[best + self.window - 1]  # the step at which the best window ended
        before, after = (_values(part, self.train) for part in (history[: until + 1], history[until + 1 :]))
        if not before or not after:
            return None
        size = min(len(before), len(after))
        gained = _mean(after[-size:]) - _mean(before[-size:])
        lost = heldout[best] - heldout[-1]
        if lost <= self.fall or gained <= self.rise:
            return None
        return f"{self.heldout} fell by {lost:.3g} while {self.train} rose by {gained:.3g}"


class Alarms:
    """All rules of a run; each says a thing once, and again only after it had gone quiet."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = {name: rule for name, rule in rules.items() if rule.action != "off"}
        self._ringing: set[str] = set()

    def check(self, history: History) -> list[Alarm]:
        """Return the alarms that have just begun to ring."""
        found = {name: message for name, rule in self._rules.items() if (message := rule.seen(history))}
        new = [name for name in found if name not in self._ringing]
        self._ringing = set(found)
        return [Alarm(name, self._rules[name].action, found[name], self._rules[name].advice) for name in new]


def _values(history: History, metric: str, minus: str | None = None) -> list[float]:
    """Values of a metric, or of its difference to another; a step that lacks one, or has no number, is left out."""
    values = (step.get(metric, math.nan) - (step.get(minus, math.nan) if minus else 0.0) for step in history)
    return [value for value in values if math.isfinite(value)]


def _windows(values: Sequence[float], size: int) -> Iterator[float]:
    """Means of every `size` values in a row, oldest first."""
    return (_mean(values[end - size : end]) for end in range(size, len(values) + 1))


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)
