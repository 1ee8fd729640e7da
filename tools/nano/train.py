"""Trains the demo's models from scratch into OUT/models, where later builds keep them until the labels change."""

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

from medix_r1.demo import labels as label_file
from medix_r1.demo.batches import read_rows
from medix_r1.demo.build import Advance, add_bar, bars, build_part, trained_stamp
from medix_r1.demo.shipped import Model
from medix_r1.demo.stamps import replacing
from medix_r1.errors import ConfigError, DataError, Problem
from tools.nano.judge import model as judge_model
from tools.nano.judge import training as judge_training
from tools.nano.judge.pairs import read_pairs
from tools.nano.judge.report import MAX_FALSE_YES, count_unserved
from tools.nano.policy import model as policy_model
from tools.nano.policy import warm_start

MODELS: tuple[Model, ...] = ("policy", "judge")


def models_of(only: Collection[str] | None) -> list[Model]:
    """Return the models that are asked for; all of them when none is named."""
    if unknown := sorted(set(only or ()) - set(MODELS)):
        raise ConfigError(
            [
                Problem("--only", "no-such-model", f"unknown model {name}; models are {', '.join(MODELS)}")
                for name in unknown
            ]
        )
    return [model for model in MODELS if not only or model in only]


def train(out: Path, *, only: Collection[str] | None = None, console: Console | None = None) -> None:
    """Train the models that are asked for, whether anything has changed or not.

    Both at once take two processes of one thread each; the weights are the same as of one trained alone.

    Args:
        out: the demo's folder; its rows are built when they are missing or out of date.
        only: the models to train; both unless named.
        console: where progress is shown.

    Raises:
        ConfigError: a model that is not known.
        DataError: the judge that was trained is too lenient, or its training ended; the old one stays.
    """
    wanted = models_of(only)
    disable_progress_bar()  # transformers' bars would tear ours
    with bars(console) as progress:
        if wanted == ["judge"]:
            train_judge(out, add_bar(progress, "judge", judge_training.STEPS))
        else:
            build_part(out, "data", progress)
            with _judge_beside(out, progress, wanted):
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
    """Train the judge and install it, unless it is too lenient to reward."""
    with replacing(out, "judge", trained_stamp("judge"), ["models/judge"]) as temporary:
        folder = temporary / "models" / "judge"
        model, tokenizer = judge_training.trained(advance)
        round_to_bfloat16(model)
        judge_model.save_folder(folder, model, tokenizer)
        _refuse_lenient(folder)


def round_to_bfloat16(model: torch.nn.Module) -> None:
    """Round weights to what the shipped files can hold, so that a trained folder equals the one shipped of it."""
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
def _judge_beside(out: Path, progress: Progress, wanted: Sequence[Model]) -> Iterator[None]:
    """Train the judge in a process of its own meanwhile, if it is wanted: each training keeps to one thread."""
    if "judge" not in wanted:
        yield
        return
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_train_judge, args=(out, sender), daemon=True)
    process.start()
    sender.close()  # the child's end alone stays open, so that its death ends the listening
    advance = add_bar(progress, "judge", judge_training.STEPS)
    listener = threading.Thread(target=_pass_on, args=(receiver, advance), daemon=True)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; when it is gone, the next `send` ends this
    disable_progress_bar()
    try:
        train_judge(out, sender.send)
    except DataError as error:
        sys.exit(str(error))  # one line in place of a trace


def _pass_on(receiver: Connection, advance: Advance) -> None:
    with suppress(EOFError):
        while True:
            advance(receiver.recv())
