"""Builds the demo: pictures and rows, the nano policy, the nano judge.

    OUT/images/*.png   OUT/data/*.parquet|jsonl   OUT/models/policy   OUT/models/judge

Weights come from files shipped with the package unless they are to be trained again. What is unchanged is not built
twice; an interrupted build leaves what was there before.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from medix_r1.demo import labels as label_file
from medix_r1.demo.stamps import hash_files, is_current, replacing
from medix_r1.errors import ConfigError, DataError

Part = Literal["data", "policy", "judge"]
PARTS: tuple[Part, ...] = ("data", "policy", "judge")
DEFAULT_OUT = Path("outputs/demo")
Advance = Callable[[str], None]  # moves a bar one step, with a word on how it stands

_ROOM = Path(__file__).parent
_DATA = ("labels.yaml", "labels.py", "sources.py", "views.py", "dataset.py")
_POLICY = ("labels.yaml", "tokenizer.py", "chat_template.jinja", "nano_model.py", "policy.py")


def build(
    out: Path = DEFAULT_OUT,
    *,
    rebuild: bool = False,
    only: Collection[str] = PARTS,
    console: Console | None = None,
) -> None:
    """Build the demo, or what of it is missing or out of date.

    Args:
        out: folder to build in.
        rebuild: train policy and judge again instead of taking the shipped weights (minutes instead of seconds).
        only: the parts to build; the policy's training needs `data`.
        console: where progress is shown.
    """
    if unknown := sorted(set(only) - set(PARTS)):
        raise ConfigError([f"only: unknown part {name}; parts are {', '.join(PARTS)}" for name in unknown])
    wanted = [part for part in PARTS if part in only]
    with _progress(console or Console(stderr=True)) as progress:
        if rebuild and {"policy", "judge"} <= set(wanted):
            with _judge_beside(out, progress):
                _build_parts(out, [part for part in wanted if part != "judge"], progress, rebuild=True)
        else:
            _build_parts(out, wanted, progress, rebuild=rebuild)
        progress.console.print(f"demo: {out}")


def _build_parts(out: Path, parts: Sequence[Part], progress: Progress, *, rebuild: bool) -> None:
    for part in parts:
        inputs = inputs_hash(part, rebuild=rebuild)
        # To train again is asked for in so many words, so models are then made even when nothing has changed; what it
        # made is as good as the shipped weights until its code or labels change.
        if is_current(out, part, inputs) and not (rebuild and part != "data"):
            progress.console.print(f"{part}: up to date")
        elif part != "data" and not rebuild and is_current(out, part, inputs_hash(part, rebuild=True)):
            progress.console.print(f"{part}: up to date, trained here by --rebuild (not the shipped weights)")
        elif part == "data":
            _build_data(out, inputs, progress)
        elif part == "policy":
            _build_policy(out, inputs, progress, rebuild=rebuild)
        else:
            total = judge_steps() if rebuild else 1
            _build_judge(out, inputs, _task(progress, "judge", total), rebuild=rebuild)


@contextmanager
def _judge_beside(out: Path, progress: Progress) -> Iterator[None]:
    """Train the judge in a process of its own meanwhile: the policy's uses one thread, and two cores take both.

    The judge's takes longer. Once it is alone it takes the other's core as well; before that a second thread only
    gets in the way (docs/demo.md has the times).
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    alone = context.Event()
    process = context.Process(target=_train_judge, args=(out, sender, alone), daemon=True)
    process.start()
    sender.close()  # the child's end alone stays open, so that its death ends the listening
    advance = _task(progress, "judge", judge_steps())
    listener = threading.Thread(target=_pass_on, args=(receiver, advance), daemon=True)
    listener.start()
    try:
        yield
        alone.set()
        process.join()
    finally:
        process.kill()
        process.join()
        listener.join()
    if process.exitcode != 0:
        raise DataError(f"the judge's training ended with code {process.exitcode}; what it said stands above")


def _train_judge(out: Path, sender: Connection, alone: Event) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; when it is gone, the next `send` ends this

    def advance(detail: str) -> None:
        if alone.is_set():
            torch.set_num_threads(2)  # gave the same bits as one in the steps that were compared (docs/demo.md)
        sender.send(detail)

    try:
        _build_judge(out, inputs_hash("judge", rebuild=True), advance, rebuild=True)
    except DataError as error:
        sys.exit(str(error))  # one line in place of a trace


def _pass_on(receiver: Connection, advance: Advance) -> None:
    with suppress(EOFError):
        while True:
            advance(receiver.recv())


def inputs_hash(part: Part, *, rebuild: bool) -> str:
    """Hash of all that decides how a part turns out: labels, code, and the shipped weights or the training code."""
    mode = "trained" if rebuild else "shipped"
    if part == "data":
        return hash_files([_ROOM / name for name in _DATA])
    if part == "policy":
        training = (*_DATA, "batches.py", "warm_start.py")
        weights = ("weights/policy.safetensors.sha256",)
        return hash_files([_ROOM / name for name in (*_POLICY, *(training if rebuild else weights))], mode)
    code = sorted(_ROOM.glob("judge_*.py")) + sorted(_ROOM.glob("lexicon*"))
    shared = [_ROOM / "labels.yaml", _ROOM / "nano_model.py"]
    return hash_files([*shared, *code, *sorted(_ROOM.glob("weights/judge*"))], mode)


def _build_data(out: Path, inputs: str, progress: Progress) -> None:
    from medix_r1.demo.dataset import write_data

    labels = label_file.load()
    with replacing(out, "data", inputs, ["images", "data"]) as temporary:
        write_data(temporary, labels, _task(progress, "data", len(labels.sources) + 3))


def _build_policy(out: Path, inputs: str, progress: Progress, *, rebuild: bool) -> None:
    from transformers.utils.logging import disable_progress_bar

    from medix_r1.demo import policy, warm_start

    disable_progress_bar()  # its bars would tear ours
    labels = label_file.load()
    train_file = out / "data" / "train.parquet"
    if rebuild and not train_file.is_file():
        raise ConfigError([f"only: the policy is trained on {train_file}, which is missing; build `data` too"])
    with replacing(out, "policy", inputs, ["models/policy"]) as temporary:
        folder = temporary / "models" / "policy"
        if rebuild:
            policy.train_policy(folder, train_file, labels, _task(progress, "policy", warm_start.TOTAL_STEPS))
        else:
            advance = _task(progress, "policy", 1)
            policy.build_policy(folder, labels)
            advance("from the shipped weights")


def _build_judge(out: Path, inputs: str, advance: Advance, *, rebuild: bool) -> None:
    from medix_r1.demo.judge_model import build_judge

    with replacing(out, "judge", inputs, ["models/judge"]) as temporary:
        folder = temporary / "models" / "judge"
        build_judge(folder, rebuild=rebuild, advance=advance)
        if rebuild:
            _refuse_lenient(folder)


def _refuse_lenient(folder: Path) -> None:
    from medix_r1.demo.judge_pairs import read_pairs
    from medix_r1.demo.judge_report import MAX_FALSE_YES, count_unserved

    false_yes = count_unserved(folder, read_pairs()).false_yes
    if false_yes >= MAX_FALSE_YES:
        raise DataError(
            f"the judge that was trained says YES to {false_yes:.1%} of the held-out pairs to refuse; one that rewards "
            f"must stay below {MAX_FALSE_YES:.0%}. It is not installed and the judge that was there stays; a build "
            "without --rebuild takes the shipped weights"
        )


def judge_steps() -> int:
    """Steps of the judge's training; importing them costs torch."""
    from medix_r1.demo.judge_training import STEPS

    return STEPS


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<7}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
    )


def _task(progress: Progress, name: str, total: int) -> Advance:
    """Add a bar and return what moves it."""
    task = progress.add_task(name, total=total, detail="")
    return lambda detail: progress.update(task, advance=1, detail=detail)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder to build in.")] = DEFAULT_OUT,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Train again instead of using shipped weights.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Build only this part (repeatable).")] = None,
) -> None:
    """Build the demo."""
    build(out, rebuild=rebuild, only=only or PARTS)


if __name__ == "__main__":
    app()
