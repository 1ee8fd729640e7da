"""Builds the demo: pictures and rows, the nano policy, the nano judge.

    OUT/images/*.png   OUT/data/*.parquet|jsonl   OUT/models/policy   OUT/models/judge

The models come from the shipped weights; only a clone can train them again (tools/nano). A part is rebuilt only if its
inputs have changed; an interrupted build leaves the old part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from medix_r1.demo import shipped
from medix_r1.demo.rows import labels as label_file
from medix_r1.demo.shipped import Model
from medix_r1.demo.stamps import hash_files, is_current, replacing
from medix_r1.errors import ConfigError, Problem

Part = Literal["data", "policy", "judge"]
PARTS: tuple[Part, ...] = ("data", "policy", "judge")
DEFAULT_OUT = Path("outputs/demo")
Advance = Callable[[str], None]  # moves a bar one step and shows a detail

_ROOM = Path(__file__).parent
_LABELS = _ROOM / "rows" / "labels.yaml"
_DATA = ("labels.yaml", "labels.py", "source_pictures.py", "views.py", "dataset.py")


def build(out: Path = DEFAULT_OUT, *, only: Collection[str] = PARTS, console: Console | None = None) -> None:
    """Build the parts of the demo that are missing or out of date.

    Args:
        out: folder to build in.
        only: the parts to build.
        console: for progress bars; by default the standard error.
    """
    if unknown := sorted(set(only) - set(PARTS)):
        raise ConfigError(
            [Problem("only", "no-such-part", f"unknown part {name}; parts are {', '.join(PARTS)}") for name in unknown]
        )
    with bars(console) as progress:
        for part in PARTS:
            if part in only:
                build_part(out, part, progress)
        progress.console.print(f"demo: {out}")


def build_part(out: Path, part: Part, progress: Progress) -> None:
    """Build one part unless it is up to date; a locally trained model is kept until the labels change."""
    inputs = _inputs(part)
    if is_current(out, part, inputs):
        progress.console.print(f"{part}: up to date")
    elif part == "data":
        _build_data(out, inputs, progress)
    elif is_current(out, part, trained_stamp(part)):
        progress.console.print(f"{part}: up to date, trained here (not the shipped weights)")
    else:
        advance = add_bar(progress, part, 1)
        with replacing(out, part, inputs, [f"models/{part}"]) as temporary:
            shipped.unpack(shipped.shipped_folder(part), temporary / "models" / part)
        advance("from the shipped weights")


def trained_stamp(model: Model) -> str:
    """Return the stamp of a locally trained model: a hash of the labels."""
    return hash_files([_LABELS], "trained", model)


def _inputs(part: Part) -> str:
    """Hash of everything that a part is made from."""
    if part == "data":
        return hash_files([_LABELS.parent / name for name in _DATA])
    return hash_files([_ROOM / "shipped.py", shipped.shipped_folder(part) / shipped.CHECKSUMS])


def _build_data(out: Path, inputs: str, progress: Progress) -> None:
    from medix_r1.demo.rows.dataset import write_data

    labels = label_file.load()
    with replacing(out, "data", inputs, ["images", "data"]) as temporary:
        write_data(temporary, labels, add_bar(progress, "data", len(labels.sources) + 3))


def bars(console: Console | None) -> Progress:
    """Return a display of progress bars, on the standard error unless a console is given."""
    return Progress(
        TextColumn("{task.description:<7}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console or Console(stderr=True),
    )


def add_bar(progress: Progress, name: str, total: int) -> Advance:
    """Add a bar and return the function that moves it."""
    task = progress.add_task(name, total=total, detail="")
    return lambda detail: progress.update(task, advance=1, detail=detail)
