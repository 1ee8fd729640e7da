"""Terminal view of a training run: one line a step, the run's state in between, and one line at the end.

It reads only the run's folder (events, verl's `file` logger), so another shell can show the same.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections import deque
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from medix_r1.errors import TrainingError
from medix_r1.host.log_tail import tail
from medix_r1.runs.folder import TRACEBACK, Follower
from medix_r1.runs.phases import time_shares
from medix_r1.runs.trend import PARTS, WINDOW, Metrics, step_line
from medix_r1.training.command.plan import Plan

_POLL = 0.3  # seconds


class ProgressView:
    """Prints a run's steps and events to a terminal, or as plain lines to a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._seconds: deque[float] = deque(maxlen=20)
        self._history: deque[Metrics] = deque(maxlen=2 * WINDOW)
        self._timings: list[Metrics] = []
        self._error: str | None = None
        self._last_step = 0

    def start(self, plan: Plan, attempt: int) -> None:
        """Print changed settings, the first step and the log's path."""
        self._total = plan.config.trainer.total_training_steps
        self._last_step = plan.first_step - 1
        self._log = plan.folder.log(attempt)
        self._events = Follower(plan.folder.events, from_end=True)
        self._metrics = Follower(plan.folder.metrics(attempt))
        for difference in plan.differences:
            self._console.print(f"[yellow]changed[/] {escape(str(difference))}")
        where = f"resuming after step {self._last_step}" if plan.resume_from else "from the start"
        self._console.print(
            f"[bold]{escape(plan.config.run.name)}[/] {where}; log: {escape(str(self._log))}", soft_wrap=True
        )

    def follow(self, process: subprocess.Popen[bytes]) -> int:
        """Show the run until it ends; returns 0, or 1 when a user interrupted it.

        Raises:
            TrainingError: the run failed; the message holds the cause and the log's tail.
        """
        with Status("starting", console=self._console) as self._status:
            try:
                while process.poll() is None:
                    self._show_new()
                    time.sleep(_POLL)
            except KeyboardInterrupt:
                self._console.print("stopping: ending judge, Ray and vLLM ...")
                return 1
            self._show_new()
        if process.returncode == 0:
            self._show_time()
            self._console.print(f"[green]finished[/] after step {self._last_step}")
            return 0
        raise TrainingError(
            f"{self._error or 'the training process ended without a message'}\n{tail(self._log, before=TRACEBACK)}",
            code="run-failed",
        )

    def _show_new(self) -> None:
        for event in self._events.new():
            self._show_event(event)
        for record in self._metrics.new():
            self._show_metrics(int(record["step"]), record["data"])

    def _show_event(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "judge_starting":
                self._say(f"starting judge {event['model']} at {event['address']}")
            case "judge_ready":
                self._console.print(f"judge ready after {event['seconds']:.0f} s")
            case "driver_starting":
                self._say("starting Ray, the actor and vLLM")
            case "waiting":
                self._console.print(f"[yellow]{escape(event['message'])}[/]")
            case "alarm":
                self._console.print(f"[yellow]alarm[/] {escape(event['message'])}  {escape(event['advice'])}")
            case "asked":
                self._console.print(f"done as asked: {escape(event['request'])}")
            case "error":
                self._error = event["message"]

    def _say(self, text: str) -> None:
        if self._status is not None and self._console.is_terminal:
            self._status.update(text)
        else:
            self._console.print(text)

    def _show_metrics(self, step: int, metrics: dict[str, float]) -> None:
        for line in heldout_lines(metrics):
            self._console.print(f"step {step:>5}  {line}", style="cyan", highlight=False)
        if "reward/overall/mean" not in metrics:
            return
        self._last_step = step
        self._history.append(metrics)
        self._timings.append({key: value for key, value in metrics.items() if key.startswith("timing_s/")})
        self._seconds.append(metrics.get("timing_s/step", 0.0))
        self._console.print(
            f"step {self._position(step)}  {step_line(self._history)}  {self._time_left(step)}", highlight=False
        )
        if self._console.is_terminal:
            self._say(f"step {step + 1}")

    def _show_time(self) -> None:
        """Print how this attempt's time divides among phases (docs/watching.md)."""
        shares = {name: share for name, share in time_shares(self._timings).items() if share >= 0.005}
        if shares:
            parts = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
            self._console.print(f"time: {parts}", highlight=False)

    def _position(self, step: int) -> str:
        return f"{step:>5}/{self._total}" if self._total else f"{step:>5}"

    def _time_left(self, step: int) -> str:
        if not self._total:
            return ""
        minutes, seconds = divmod(round(statistics.median(self._seconds) * (self._total - step)), 60)
        return f"{minutes} min {seconds:02d} s left"


def heldout_lines(metrics: dict[str, float]) -> list[str]:
    """One line for each held-out set; empty if this step had no validation."""
    end = "/overall/mean"
    keys = [key for key in metrics if key.startswith("heldout/") and key.endswith(end)]
    sources = sorted(key.removeprefix("heldout/").removesuffix(end) for key in keys)
    lines = []
    for source in sources:
        prefix = f"heldout/{source}/"
        parts = "  ".join(f"{n} {metrics[f'{prefix}{n}/mean']:.3f}" for n in PARTS if f"{prefix}{n}/mean" in metrics)
        lines.append(f"held-out {source}: reward {metrics[f'{prefix}overall/mean']:.3f}  {parts}")
    if lost := metrics.get("sampler/failed_validation_groups", 0.0):
        lines.append(f"held-out: {lost:.0f} questions lost a rollout; the log has the errors")
    return lines
