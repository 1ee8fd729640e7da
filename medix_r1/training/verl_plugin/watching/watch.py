"""What the trainer does at a step's end besides training: alarms, requests of `medix-r1 ask`, the best checkpoint.

This module reads metrics and folders and decides; the trainer acts. It does not import verl.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from medix_r1.composing import instantiate_each
from medix_r1.runs import checkpoints, requests
from medix_r1.runs.alarms import Alarm, Alarms
from medix_r1.runs.folder import RunFolder
from medix_r1.runs.requests import Request

logger = logging.getLogger(__name__)


class RunWatch:
    """Alarms, requests and best checkpoint of one run.

    Args:
        folder: the run's folder.
        rules: the config's `alarms` node.
        best_metric: the held-out metric that chooses the best checkpoint, or None.
    """

    def __init__(self, folder: RunFolder, rules: Mapping[str, Any], best_metric: str | None) -> None:
        self._folder, self._best_metric = folder, best_metric
        self._alarms = Alarms(instantiate_each(rules, "alarms"))
        self._history = list(folder.metrics_by_step().values())  # of earlier attempts, so that windows span a restart
        self._alarms.check(self._history)  # alarms of earlier attempts are not repeated
        self.stop_reason: str | None = None

    def asked(self, request: Request) -> bool:
        """Whether this request is pending."""
        return request in requests.pending(self._folder.root)

    def done(self, request: Request) -> None:
        """Delete a request and record that it was carried out."""
        requests.clear(self._folder.root, [request])
        self._folder.add_event("asked", request=request)

    def before_training(self, metrics: Mapping[str, Any]) -> None:
        """Remember the validation before the first step, which rules compare with; a later attempt reads it."""
        self._history.append(_numbers(metrics))

    def look(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Process a finished step: offer its checkpoint as the best, report alarms, set `stop_reason`."""
        numbers = _numbers(metrics)
        if self._best_metric in numbers:
            self._choose_best(step, self._best_metric, numbers[self._best_metric])
        self._history.append(numbers)
        for alarm in self._alarms.check(self._history):
            self._report(step, alarm)

    def _choose_best(self, step: int, metric: str, value: float) -> None:
        folder = self._folder.checkpoints / f"global_step_{step}"
        if checkpoints.offer_as_best(folder, metric, value):
            self._folder.add_event("best", step=step, metric=metric, value=value)

    def _report(self, step: int, alarm: Alarm) -> None:
        logger.warning("alarm %s at step %d: %s. %s", alarm.name, step, alarm.message, alarm.advice)
        self._folder.add_event("alarm", step=step, name=alarm.name, message=alarm.message, advice=alarm.advice)
        if alarm.action == "stop":
            self.stop_reason = f"alarm {alarm.name} at step {step}: {alarm.message}. {alarm.advice}"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}
