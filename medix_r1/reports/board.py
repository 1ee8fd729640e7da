"""`medix-r1 board FOLDER`: one static page of all runs and evaluations below a folder, linked to their reports."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import yaml
from markupsafe import Markup

from medix_r1.errors import ConfigError
from medix_r1.evaluation.results.records import RUN_FILE
from medix_r1.host.files import atomic_write
from medix_r1.host.yaml_text import parse_yaml
from medix_r1.pages.style import page_style
from medix_r1.reports.outcome import changes
from medix_r1.reports.status import state
from medix_r1.runs.folder import RunFolder, read_lines

_DEEPEST = 6  # folders below the one that is named
_INSIDE = ("checkpoints", "samples", "merged", "tensorboard", "logs", "node_modules", ".git", ".venv")
_WIDTH, _HEIGHT = 120, 28  # pixels, of a curve


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the board shows it; what its folder does not tell is None or empty."""

    name: str
    state: str
    steps: str
    model: str
    before: float | None
    after: float | None
    curve: str
    alarms: int
    report: str | None
    newest: float


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One result of the evaluation."""

    name: str
    model: str
    tasks: int
    averages: tuple[tuple[str, str], ...]
    table: str | None
    newest: float


def write_board(folder: Path, out: Path | None = None, *, refresh: int | None = None) -> Path:
    """Write the page; by default FOLDER/board.html.

    Raises:
        ConfigError: there is no such folder, or neither a run nor a result below it.
    """
    if not folder.is_dir():
        raise ConfigError.of(
            str(folder), "no-such-folder", "no folder there; name one that holds runs, such as outputs"
        )
    out = out or folder / "board.html"
    runs, results = [], []
    for found in _folders(folder):
        if (found / "config.yaml").is_file() and (found / "metrics").is_dir():
            runs.append(_run(found, folder, out))
        elif (found / RUN_FILE).is_file():
            results.append(_result(found, folder, out))
    if not runs and not results:
        says = "neither a run that has logged a step nor a result of `medix-r1 eval` below it"
        raise ConfigError.of(str(folder), "nothing-there", says)
    text = _page(folder, sorted(runs, key=_newest_first), sorted(results, key=_newest_first), refresh)
    atomic_write(out, text)
    return out


def watch(folder: Path, out: Path | None, seconds: int) -> None:
    """Write the page again every `seconds` until the command is ended."""
    while True:
        write_board(folder, out, refresh=seconds)
        time.sleep(seconds)


def _newest_first(row: RunRow | ResultRow) -> float:
    return -row.newest


def _folders(root: Path) -> Iterator[Path]:
    """The folder itself and those below it, without the insides of runs."""
    for place, names, _ in os.walk(root):
        here = Path(place)
        yield here
        names[:] = [] if len(here.relative_to(root).parts) >= _DEEPEST else sorted(n for n in names if n not in _INSIDE)


def _run(path: Path, root: Path, out: Path) -> RunRow:
    folder = RunFolder(path)
    events = list(read_lines(folder.events)) if folder.events.is_file() else []
    steps = folder.metrics_by_step()
    config = _yaml(folder.config)
    trainer, model = config.get("trainer") or {}, (config.get("actor_rollout_ref") or {}).get("model") or {}
    trained = {
        step: metrics["reward/overall/mean"] for step, metrics in steps.items() if "reward/overall/mean" in metrics
    }
    total = trainer.get("total_training_steps")
    rewards = [one for one in changes(steps) if one.signal == "overall"]
    return RunRow(
        name=_relative(path, root),
        state=state(folder, events),
        steps=f"{max(trained, default=0)}" + (f" of {total}" if total else ""),
        model=str(model.get("path", "")),
        before=sum(one.before for one in rewards) / len(rewards) if rewards else None,
        after=sum(one.after for one in rewards) / len(rewards) if rewards else None,
        curve=curve(trained),
        alarms=sum(1 for event in events if event.get("event") == "alarm"),
        report=_link(path / "report.html", out),
        newest=max([path.stat().st_mtime, *(file.stat().st_mtime for file in (path / "metrics").glob("*.jsonl"))]),
    )


def _result(path: Path, root: Path, out: Path) -> ResultRow:
    numbers = _json(path / "table.json")
    info = numbers.get("info") or _json(path / RUN_FILE)
    averages = tuple((str(one["name"]), _percent(one["score"])) for one in numbers.get("averages", ()))
    return ResultRow(
        name=_relative(path, root),
        model=str(info.get("model", "")),
        tasks=len(numbers.get("tasks", ())) or sum(1 for _ in path.glob("*/records.jsonl")),
        averages=averages,
        table=_link(path / "table.md", out),
        newest=path.stat().st_mtime,
    )


def _percent(score: Mapping[str, Any]) -> str:
    value = score.get("value")
    return "no score" if value is None else f"{100 * value:.1f} %"


def curve(values: Mapping[int, float]) -> str:
    """Points of an SVG line over the steps, from 0 at the bottom to 1 at the top; empty below two points."""
    if len(values) < 2:
        return ""
    first, last = min(values), max(values)
    points = [
        ((step - first) / (last - first) * _WIDTH, _HEIGHT * (1 - min(1.0, max(0.0, value))))
        for step, value in sorted(values.items())
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _relative(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    return path.resolve().name if name == "." else name


def _link(target: Path, out: Path) -> str | None:
    return quote(os.path.relpath(target.resolve(), out.resolve().parent)) if target.is_file() else None


def _yaml(path: Path) -> dict[str, Any]:
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, yaml.YAMLError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _page(folder: Path, runs: Sequence[RunRow], results: Sequence[ResultRow], refresh: int | None) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = files(__package__) / "page"
    return environment.from_string((page / "board.html.jinja").read_text(encoding="utf-8")).render(
        title=folder.resolve().name or "runs",
        style=Markup(page_style() + (page / "board.css").read_text(encoding="utf-8")),
        written=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        refresh=refresh,
        runs=runs,
        results=results,
        width=_WIDTH,
        height=_HEIGHT,
    )
