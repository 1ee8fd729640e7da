"""`medix-r1 demo run`: build, evaluate, train, merge, evaluate again, report, all with one judge server.

Building and evaluating run in child processes because they import torch, which would keep memory during training.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, ServerError
from medix_r1.host import processes
from medix_r1.runs.folder import RunFolder
from medix_r1.serving import server
from medix_r1.serving.checks import judge_problems
from medix_r1.serving.foreground import attached, judge_settings, new_log, running_judge
from medix_r1.serving.kept import served

EXPERIMENT = "experiment=nano_cpu"
DEFAULT_RUN = Path("outputs/nano_cpu")


class _PhaseEnded(Exception):
    """A phase failed or was stopped, and has printed why; `code` is the exit code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


def evaluate(model: Path, out: Path, judge_url: str | None, overrides: Sequence[str], console: Console) -> None:
    """Evaluate one policy and write the result as JSON; start the judge unless `judge_url` names one."""
    overrides = [EXPERIMENT, *overrides]
    overrides += _running_judge(configs.compose_train(overrides), judge_url) if judge_url else []
    with judge(configs.compose_train(overrides), console) as attach:
        from medix_r1.demo.evaluate import evaluate as evaluate_policy

        result = evaluate_policy(model, configs.compose_train([*overrides, *attach]))
    result.write(out)
    for name, found in result.sets.items():
        sampled, greedy = (found.decoded[key].signals["overall"].mean or 0.0 for key in ("sampled", "greedy"))
        console.print(f"{name}: reward {sampled:.3f} at T=1, {greedy:.3f} greedy", highlight=False)


def run(run_dir: Path, overrides: Sequence[str], console: Console) -> int:
    """Run the whole demo, or resume it; return the exit code."""
    arguments = [EXPERIMENT, f"run.dir={run_dir}", *overrides]
    config = configs.compose_train(arguments)
    folder, seconds = RunFolder(Path(config.run.dir).absolute()), dict[str, float]()
    report = folder.root / "report"
    try:
        _timed(seconds, "build", lambda: _build(config, console))
        with judge(config, console, seconds) as attach:
            arguments += attach
            before = Path(config.actor_rollout_ref.model.path)
            _timed(seconds, "before", lambda: _evaluate(before, report / "before.json", arguments, console))
            _timed(seconds, "training", lambda: _train(arguments, console))
            merged = Path(config.run.dir) / "merged"
            _timed(seconds, "merge", lambda: _merge(folder.root, merged, console))
            _timed(seconds, "after", lambda: _evaluate(merged, report / "after.json", arguments, console))
    except _PhaseEnded as ended:
        return ended.code
    _report(folder, report, seconds, console)
    return 0


@contextmanager
def judge(config: DictConfig, console: Console, seconds: dict[str, float] | None = None) -> Iterator[list[str]]:
    """Run a config's judge server, if it has one; yield the overrides that make a run use it."""
    if config.judge.server is None:
        if problems := list(judge_problems(config)):
            raise ConfigError(problems)
        yield []
        return
    settings = judge_settings(config)
    log, start = new_log("medix-judge-"), time.monotonic()
    console.print(f"starting judge {settings.served_name} at {settings.address}; log: {log}", highlight=False)
    with served(settings, log):
        if seconds is not None:
            seconds["judge start"] = time.monotonic() - start
        console.print(f"judge ready after {time.monotonic() - start:.0f} s", highlight=False)
        yield attached(config, settings)


def _running_judge(config: DictConfig, url: str) -> list[str]:
    url = url.rstrip("/").removesuffix("/v1") + "/v1"
    names = server.served_models(url, timeout=5.0)
    if not names:
        raise ServerError(
            f"--judge-url: no judge answers at {url}; start one with medix-r1 serve judge=nano", code="no-answer"
        )
    return running_judge(config.judge, url, names[0])


def _build(config: DictConfig, console: Console) -> None:
    parts = ("data", "policy", "judge") if config.judge.server is not None else ("data", "policy")
    only = [word for part in parts for word in ("--only", part)]
    _command("build", ["--out", str(config.demo_dir), *only], console)


def _timed(seconds: dict[str, float], name: str, phase: Callable[[], None]) -> None:
    start = time.monotonic()
    phase()
    seconds[name] = time.monotonic() - start


def _evaluate(model: Path, out: Path, arguments: Sequence[str], console: Console) -> None:
    overrides = [argument for argument in arguments if argument != EXPERIMENT]
    console.print(f"measuring {model} on both held-out sets", highlight=False)
    _command("evaluate", [str(model), "--out", str(out), *overrides], console)


def _command(verb: str, arguments: Sequence[str], console: Console) -> None:
    """Run another verb of the demo in a child process, on this terminal."""
    try:
        code = subprocess.run(
            [sys.executable, "-m", "medix_r1.cli", "demo", verb, *arguments],
            check=False,
            preexec_fn=processes.end_with_parent,
        ).returncode
    except KeyboardInterrupt:
        console.print("stopped")
        code = 1
    if code != 0:
        raise _PhaseEnded(code)


def _train(arguments: Sequence[str], console: Console) -> None:
    from medix_r1.training.command import launch
    from medix_r1.training.command.plan import make_plan
    from medix_r1.training.command.progress import ProgressView

    planned = make_plan(arguments)
    if planned.is_finished:
        console.print(f"{planned.folder.root} has finished step {planned.first_step - 1}", highlight=False)
    elif code := launch.run(planned, ProgressView(console)):
        raise _PhaseEnded(code)


def _merge(run_dir: Path, out: Path, console: Console) -> None:
    from medix_r1.checkpoints.merge import merge
    from medix_r1.checkpoints.options import Options

    options = Options(verify=True, verify_with="both")
    merged = merge(run_dir, out, force=True, options=options, console=console)
    console.print(f"merged {merged} into {out}", highlight=False)


def _report(folder: RunFolder, out: Path, seconds: dict[str, float], console: Console) -> None:
    from medix_r1.demo.result import read_evaluation
    from medix_r1.demo.summary import DemoSummary, show, write_summary
    from medix_r1.demo.summary_plots import draw

    before, after = (read_evaluation(out / f"{name}.json") for name in ("before", "after"))
    report = DemoSummary(before, after, folder.metrics_by_step(), seconds)
    write_summary(report, out / "summary.md", draw(report, out))
    show(report, console)
    console.print(f"report: {out / 'summary.md'}", highlight=False)
