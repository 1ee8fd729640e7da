"""The pictures of a blinded sheet, read again from the tasks' own data; not where a data-use agreement covers them."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image as PillowImage

from medix_r1.errors import MedixError
from medix_r1.evaluation.benchmarks import sources
from medix_r1.evaluation.benchmarks.items import Image, load_items
from medix_r1.evaluation.benchmarks.kept_task import kept_task
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.settings import read_tasks
from medix_r1.images.decode import read_image
from medix_r1.images.rules import ImageRejected

_LARGEST = 1024  # pixels of a side; a page of a hundred pairs stays below some 50 MB


@dataclass
class TaskPictures:
    """Reads the pictures of samples from their tasks' data.

    Attributes:
        result: folder of a result, which names its tasks and where their rows are. Tasks of an earlier version's result
            are looked up in our configs and `config_dirs`.
        data_dir: folder with copies of the hub's data sets, in place of the one that the result was made with.
        config_dirs: folders with the user's own tasks.
        missing: why a task has no pictures on the page, by its name.
    """

    result: Path
    data_dir: Path | None = None
    config_dirs: Sequence[Path] = ()
    missing: dict[str, str] = field(default_factory=dict)

    def of(self, records: Sequence[Record]) -> dict[str, list[str]]:
        """The pictures of each sample as data URIs, by its id."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for record in records:
            wanted[record.task].add(record.id)
        found: dict[str, list[str]] = {}
        for name, ids in wanted.items():
            try:
                found |= self._of_task(name, ids)
            except (MedixError, ImageRejected) as error:
                self.missing[name] = str(error).splitlines()[-1].strip(" -")
        return found

    def _of_task(self, name: str, ids: set[str]) -> dict[str, list[str]]:
        kept = kept_task(self.result / name)
        task, there = kept or (read_tasks(self.config_dirs)[0].get(name), None)
        data_dir = self.data_dir or there
        if task is None:
            self.missing[name] = "no such task is known; name its folder by --config-dir"
        elif task.kind == "vlm" and task.restricted:
            self.missing[name] = "under a data-use agreement"
        elif task.kind == "vlm" and (problems := sources.problems(task, data_dir)):
            self.missing[name] = problems[0].text
        elif task.kind == "vlm":
            return self._read(task, data_dir, ids)
        return {}

    def _read(self, task: TaskSpec, data_dir: Path | None, ids: set[str]) -> dict[str, list[str]]:
        data = load_items(task, data_dir=data_dir, cache_dir=Path("outputs/eval/.images"))
        found = {item.id: [_shown(image) for image in item.images] for item in data.items if item.id in ids}
        if lost := len(ids - found.keys()):
            self.missing[task.name] = f"{lost} samples are not in the data that is read now"
        return found


def _shown(image: Image) -> str:
    """A picture as training reads it, at most `_LARGEST` pixels a side."""
    with PillowImage.open(io.BytesIO(read_image(image.read(), image.rules).content)) as opened:
        opened.thumbnail((_LARGEST, _LARGEST))
        buffer = io.BytesIO()
        opened.convert("RGB").save(buffer, format="JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
