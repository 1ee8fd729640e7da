"""Alarms: rules on a run's metrics that detect when it goes wrong, each with advice.

A rule compares means over windows of steps, and skips steps without its metric (held-out metrics come at some steps
only). Rules read nothing but logged metrics, so they work on a running job, a finished one and the recorded runs of the
tests. `configs/alarms/default.yaml` lists the rules.
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
    message: str  # what the metrics show, with numbers
    advice: str


class Rule(ABC):
    """The rule of one alarm.

    Args:
        window: number of steps (with the metric) to average, at least 1.
        action: `warn` prints a warning, `stop` ends the run with a checkpoint, `off` does nothing.
        advice: one sentence on what to do.

    Raises:
        ConfigError: the window is below 1, or the action is unknown.
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
        """Describe what is wrong, with numbers; None when nothing is, or when there are too few steps."""


class Above(Rule):
    """Fires when the mean of the last window is above `threshold`."""

    def __init__(self, *, metric: str, threshold: float, window: int, action: Action, advice: str) -> None:
        super().__init__(window=window, action=action, advice=advice)
        self.metric, self.threshold = metric, threshold

    def seen(self, history: History) -> str | None:
        values = _values(history, self.metric)
        if len(values) < self.window or (now := _mean(values[-self.window :])) <= self.threshold:
            return None
        return f"{self.metric} is {now:.3g} over the last {self.window} steps, above {self.threshold:g}"


class Falls(Rule):
    """Fires when the mean of the last window is below the best earlier one.

    Args:
        metric: its name.
        window, action, advice: as in `Rule`.
        by: allowed absolute drop.
        share: allowed drop relative to the best mean; give either `by` or `share`.
    """

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
        if len(windows) <= self.window:  # the first and the last window still overlap
            return None
        now, best = windows[-1], max(windows[: -self.window])
        allowed = self.by if self.by is not None else abs(best) * (self.share or 0.0)
        if best - now <= allowed:
            return None
        return f"{self.metric} fell from {best:.3g} to {now:.3g} (means of {self.window} steps)"


class Rises(Rule):
    """Fires when the mean of the last window is more than `by` above that of the first.

    Args:
        metric: its name.
        by: allowed rise.
        window, action, advice: as in `Rule`.
        minus: a second metric; the rule then looks at `metric` - `minus`.
    """

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
    """Fires when the held-out metric falls from its best while the training metric rises over the same steps.

    If the best is from before the first step, the later half of the steps is compared with the earlier one.

    Args:
        train: metric of every step.
        heldout: metric of the validation steps.
        fall: allowed fall of `heldout` below its best window.
        rise: allowed rise of `train` since that window.
        window: number of validations to average.
        action, advice: as in `Rule`.
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
        until = steps[best + self.window - 1]  # last step of the best window
        before, after = (_values(part, self.train) for part in (history[: until + 1], history[until + 1 :]))
        if not before:
            before, after = after[: len(after) // 2], after[len(after) // 2 :]
        if not before or not after:
            return None
        size = min(len(before), len(after))
        gained = _mean(after[-size:]) - _mean(before[-size:])
        lost = heldout[best] - heldout[-1]
        if lost <= self.fall or gained <= self.rise:
            return None
        return f"{self.heldout} fell by {lost:.3g} while {self.train} rose by {gained:.3g}"


class Alarms:
    """All rules of a run. An alarm is reported when its rule starts to fire, and not again while it goes on firing."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = {name: rule for name, rule in rules.items() if rule.action != "off"}
        self._firing: set[str] = set()

    def check(self, history: History) -> list[Alarm]:
        """Return the alarms whose rules fire now and did not fire at the last check."""
        found = {name: message for name, rule in self._rules.items() if (message := rule.seen(history))}
        new = [name for name in found if name not in self._firing]
        self._firing = set(found)
        return [Alarm(name, self._rules[name].action, found[name], self._rules[name].advice) for name in new]


def _values(history: History, metric: str, minus: str | None = None) -> list[float]:
    """Values of a metric, or of its difference to another; steps without a finite value are left out."""
    values = (step.get(metric, math.nan) - (step.get(minus, math.nan) if minus else 0.0) for step in history)
    return [value for value in values if math.isfinite(value)]


def _windows(values: Sequence[float], size: int) -> Iterator[float]:
    """Moving averages over `size` values, oldest first."""
    return (_mean(values[end - size : end]) for end in range(size, len(values) + 1))


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)
