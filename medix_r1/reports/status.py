"""`medix-r1 status RUN`: the state of a run, read from its folder alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import read_yaml
from medix_r1.pages.wrapped import fields, hanging
from medix_r1.runs import checkpoints, requests
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.runs.stacks import write_stacks
from medix_r1.runs.trend import step_line
from medix_r1.untrusted import plain

KILLED = "ended without a word (killed?)"


def show_status(run: Path, console: Console) -> None:
    """Print the run's state, its last steps, its alarms, and pending requests.

    Raises:
        ConfigError: there is no run.
    """
    folder = RunFolder(run)
    if not folder.config.is_file():
        raise ConfigError.of(str(run), "no-run-there", "no run there (no config.yaml)")
    events = list(read_lines(folder.events))
    steps = folder.metrics_by_step()
    console.print(f"[bold]{escape(str(run))}[/]  {escape(state(folder, events))}", highlight=False)
    trained = [step for step, metrics in steps.items() if "reward/overall/mean" in metrics]
    total = read_yaml(folder.config)["trainer"]["total_training_steps"]
    for step in trained[-3:]:
        history = [steps[earlier] for earlier in trained if earlier <= step]
        line = fields(f"step {step:>5}{f'/{total}' if total else ''}  ", step_line(history), console.width)
        console.print(escape(line), highlight=False)
    for event in events:
        if event["event"] == "alarm":
            first = f"alarm at step {event['step']}  "
            text = hanging(first, plain(event["message"]), console.width).removeprefix(first)
            console.print(f"[yellow]{first}[/]{escape(text)}", highlight=False)
    newest = checkpoints.latest(folder.checkpoints)
    console.print(f"newest checkpoint: {newest.name if newest else 'none'}", highlight=False)
    if asked := requests.pending(run):
        console.print(f"asked and not yet done: {', '.join(sorted(asked))}")


def show_stacks(run: Path, console: Console) -> None:
    """Make the run's processes on this node write their stacks, and print where."""
    folder = RunFolder(run.absolute())  # the processes know the run by its absolute path
    asked = write_stacks(folder)
    where = f"stand in {folder.stacks}" if asked else "none: no process of this run is on this node"
    console.print(f"stacks of {len(asked)} processes: {escape(where)}", highlight=False, soft_wrap=True)


def state(folder: RunFolder, events: list[dict[str, Any]]) -> str:
    """One line: running, finished, failed or killed, with the time since the last event."""
    started: dict[str, Any] = {"event": "started", "time": folder.config.stat().st_mtime}
    last = events[-1] if events else started
    ago = _ago(time.time() - last["time"])
    if folder.is_locked():
        doing = {"waiting": f"waits: {last.get('message', '')}", "driver_starting": "starting Ray, actor and vLLM"}
        return f"running; {doing.get(last['event'], 'training')} (last event {ago} ago)"
    endings = {"finished": "finished", "stopped": "stopped", "error": f"failed: {last.get('message', '')}"}
    return f"{endings.get(last['event'], KILLED)}, {ago} ago"


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
