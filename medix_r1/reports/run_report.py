"""`medix-r1 report RUN`: one self-contained HTML file about a run.

Text of models and judges is untrusted. It is embedded as JSON with `<` escaped and is inserted as text only. The
content security policy allows only the file's own two scripts, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from medix_r1.errors import ConfigError
from medix_r1.host.files import atomic_write
from medix_r1.host.yaml_text import read_yaml
from medix_r1.pages.style import page_style
from medix_r1.reports import browser, charts, criteria, facts, outcome
from medix_r1.reports.status import state
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.runs.phases import time_shares

_PAGE = files(__package__) / "page"


def write_report(run: Path, out: Path | None = None, *, refresh: int | None = None) -> Path:
    """Write the report of a run, finished or not.

    Args:
        run: the run's folder.
        out: the file, written atomically; by default RUN/report.html.
        refresh: seconds after which a browser reloads the page; None never.

    Raises:
        ConfigError: there is no run, or it has not logged a step yet.
    """
    folder = RunFolder(run)
    steps = folder.metrics_by_step() if folder.config.is_file() else {}
    if not steps:
        raise ConfigError.of(str(run), "no-step-logged", "no run there that has logged a step")
    out = out or run / "report.html"
    atomic_write(out, render(folder, steps, refresh))
    return out


def watch(run: Path, out: Path | None, seconds: int) -> Path:
    """Rewrite the report every `seconds` while the run is running, and once when it has ended."""
    while RunFolder(run).is_locked():
        write_report(run, out, refresh=seconds)
        time.sleep(seconds)
    return write_report(run, out)


def render(folder: RunFolder, steps: charts.Steps, refresh: int | None) -> str:
    """The page as text."""
    events = list(read_lines(folder.events))
    alarms = [event for event in events if event["event"] == "alarm"]
    embedded = browser.payload(folder.root)
    drawn, always_zero = charts.split_empty(charts.all_charts(steps, _weighted(folder)))
    data = {"charts": drawn, "alarms": alarms, "refresh": refresh, **embedded}
    found = outcome.changes(steps)
    scripts = [get_plotlyjs(), (_PAGE / "report.js").read_text(encoding="utf-8")]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string((_PAGE / "report.html.jinja").read_text(encoding="utf-8"))
    return page.render(
        policy=" ".join(f"'sha256-{_sha256(script)}'" for script in scripts),
        refresh=refresh,
        written=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        title=folder.root.resolve().name,
        state=state(folder, events),
        facts=facts.facts(folder),
        differences=facts.differences(folder),
        last=_last(steps),
        shares=time_shares([metrics for metrics in steps.values() if "timing_s/step" in metrics]),
        alarms=alarms,
        outcome=outcome.sentence(steps, found, len(alarms)),
        changes={one.source: [row for row in found if row.source == one.source] for one in found},
        steps=_progress(folder, steps),
        criteria=criteria.of_run(folder.root),
        pairs=bool(embedded["pairs"]),
        samples=bool(embedded["samples"]),
        left_out=embedded["left_out"],
        always_zero=always_zero,
        data=Markup(json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")),
        scripts=[Markup(script) for script in scripts],
        style=Markup(page_style() + (_PAGE / "report.css").read_text(encoding="utf-8")),
    )


def _weighted(folder: RunFolder) -> list[str]:
    """Parts to which the run's reward gives weight."""
    weights = read_yaml(folder.config)["reward"].get("weights") or {}
    return [name for name, weight in weights.items() if weight]


def _progress(folder: RunFolder, steps: charts.Steps) -> str:
    done = max((step for step, metrics in steps.items() if "reward/overall/mean" in metrics), default=0)
    total = read_yaml(folder.config)["trainer"]["total_training_steps"]
    return f"{done} of {total} steps" if total else f"{done} steps"


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _last(steps: charts.Steps) -> dict[str, dict[str, Any]]:
    """First, last and best value of each part, in training and held out."""
    table: dict[str, dict[str, Any]] = {}
    for key in sorted({key for metrics in steps.values() for key in metrics}):
        if key.endswith("/mean") and key.startswith(("reward/", "heldout/")):
            values = [metrics[key] for metrics in steps.values() if key in metrics]
            table[key.removesuffix("/mean")] = {"first": values[0], "last": values[-1], "best": max(values)}
    return table
