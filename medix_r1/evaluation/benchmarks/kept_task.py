"""The definition of a result's task, kept beside its records: pictures are read again by it, wherever the rows lie."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from medix_r1.errors import DataError
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.host.files import atomic_write

TASK_FILE = "task.json"


def keep_task(task: TaskSpec, data_dir: str | None, folder: Path) -> None:
    """Write a task's definition and the folder that its rows were read from into the folder of its results."""
    places = {"file": task.file, "answers": task.answers, "data_dir": data_dir and str(Path(data_dir).expanduser())}
    told = asdict(task) | {name: place and str(Path(place).absolute()) for name, place in places.items()}
    atomic_write(folder / TASK_FILE, json.dumps(told, indent=1, ensure_ascii=False) + "\n", private=True)


def kept_task(folder: Path) -> tuple[TaskSpec, Path | None] | None:
    """A task's definition and data_dir from the folder of its results; None where an earlier version kept none.

    Raises:
        DataError: the file is none of ours.
    """
    path = folder / TASK_FILE
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        data_dir = told.pop("data_dir")
        return TaskSpec(**told), None if data_dir is None else Path(data_dir)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{path} is no task of this version of medix-r1", code="another-file") from error
