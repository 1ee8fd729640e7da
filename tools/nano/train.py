"""Trains the demo's models from scratch into OUT/models. Later builds keep them until the labels change."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from transformers.utils.logging import disable_progress_bar

from medix_r1.demo.batches import read_rows
from medix_r1.demo.build import Advance, add_bar, bars, build_part, trained_stamp
from medix_r1.demo.rows import labels as label_file
from medix_r1.demo.rows.dataset import Part
from medix_r1.demo.shipped import Model
from medix_r1.demo.stamps import replacing
from medix_r1.errors import ConfigError, DataError, Problem
from tools.nano.judge import model as judge_model
from tools.nano.judge import training as judge_training
from tools.nano.judge.pairs import read_pairs
from tools.nano.judge.report import MAX_FALSE_YES, count_unserved
from tools.nano.policy import model as policy_model
from tools.nano.policy import warm_start
from tools.nano.reports import warm_start as report_warm_start
from tools.nano.reports.rows import write_reports

MODELS: tuple[Model, ...] = ("policy", "judge")


def models_of(only: Collection[str] | None) -> list[Model]:
    """Return the named models, or all when none is named."""
    if unknown := sorted(set(only or ()) - set(MODELS)):
        raise ConfigError(
            [
                Problem("--only", "no-such-model", f"unknown model {name}; models are {', '.join(MODELS)}")
                for name in unknown
            ]
        )
    return [model for model in MODELS if not only or model in only]


def train(out: Path, *, only: Collection[str] | None = None, console: Console | None = None) -> None:
    """Train models, even if they are up to date.

    Both models are trained in two processes of one thread each; the weights equal those of training one alone.

    Args:
        out: the demo's folder; its rows are built if they are missing or out of date.
        only: the models to train; both by default.
        console: for progress bars.

    Raises:
        ConfigError: unknown models.
        DataError: the trained judge is too lenient, or its training failed; the old judge stays.
    """
    wanted = models_of(only)
    disable_progress_bar()  # transformers' bars would break ours
    with bars(console) as progress:
        if wanted == ["judge"]:
            train_judge(out, add_bar(progress, "judge", judge_training.STEPS))
        else:
            build_part(out, "data", progress)
            with _judge_in_parallel(out, progress, wanted):
                train_policy(out, add_bar(progress, "policy", warm_start.TOTAL_STEPS))
        progress.console.print(f"trained: {', '.join(wanted)} in {out / 'models'}")


def train_policy(out: Path, advance: Advance) -> None:
    """Train the policy on OUT/data and install it."""
    rows = read_rows(out / "data" / "train.parquet")
    with replacing(out, "policy", trained_stamp("policy"), ["models/policy"]) as temporary:
        model, tokenizer = warm_start.trained(rows, label_file.load(), advance)
        round_to_bfloat16(model)
        policy_model.save_folder(temporary / "models" / "policy", model, tokenizer)


def train_judge(out: Path, advance: Advance) -> None:
    """Train the judge and install it.

    Raises:
        DataError: it is too lenient to serve as a reward.
    """
    with replacing(out, "judge", trained_stamp("judge"), ["models/judge"]) as temporary:
        folder = temporary / "models" / "judge"
        model, tokenizer = judge_training.trained(advance)
        round_to_bfloat16(model)
        judge_model.save_folder(folder, model, tokenizer)
        _refuse_lenient(folder)


def train_reports(out: Path, *, console: Console | None = None) -> dict[Part, int]:
    """Write the reports and warm-start the demo's policy on them; returns how many rows each part has.

    Args:
        out: the demo's folder; its data and its policy are built if they are missing or out of date.
        console: for progress bars.
    """
    disable_progress_bar()
    with bars(console) as progress:
        for part in ("data", "policy"):
            build_part(out, part, progress)
        labels = label_file.load()
        counts = write_reports(out / "reports", out / "images", labels)
        advance = add_bar(progress, "report_policy", report_warm_start.TOTAL_STEPS)
        model, tokenizer = report_warm_start.trained(
            out / "reports" / "train.parquet", out / "models" / "policy", labels, advance
        )
        round_to_bfloat16(model)
        policy_model.save_folder(out / "models" / "report_policy", model, tokenizer)
    return counts


def round_to_bfloat16(model: torch.nn.Module) -> None:
    """Round the weights to bfloat16 values, so that shipping and unpacking a trained model does not change it."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()


def _refuse_lenient(folder: Path) -> None:
    false_yes = count_unserved(folder, read_pairs()).false_yes
    if false_yes >= MAX_FALSE_YES:
        raise DataError(
            f"the judge that was trained says YES to {false_yes:.1%} of the held-out pairs to refuse; one that rewards "
            f"must stay below {MAX_FALSE_YES:.0%}. It is not installed, and the judge that was there stays",
            code="judge-too-lenient",
        )


@contextmanager
def _judge_in_parallel(out: Path, progress: Progress, wanted: Sequence[Model]) -> Iterator[None]:
    """Train the judge in another process during the block, if it is wanted; each training uses one thread."""
    if "judge" not in wanted:
        yield
        return
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_train_judge, args=(out, sender), daemon=True)
    process.start()
    sender.close()  # only the child holds the sending end, so its death ends `_forward`
    advance = add_bar(progress, "judge", judge_training.STEPS)
    listener = threading.Thread(target=_forward, args=(receiver, advance), daemon=True)
    listener.start()
    try:
        yield
        process.join()
    finally:
        process.kill()
        process.join()
        listener.join()
    if process.exitcode != 0:
        raise DataError(
            f"the judge's training ended with code {process.exitcode}; what it said stands above",
            code="judge-training-failed",
        )


def _train_judge(out: Path, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C; without it, the next `send` fails
    disable_progress_bar()
    try:
        train_judge(out, sender.send)
    except DataError as error:
        sys.exit(str(error))  # one line instead of a traceback


def _forward(receiver: Connection, advance: Advance) -> None:
    with suppress(EOFError):
        while True:
            advance(receiver.recv())
