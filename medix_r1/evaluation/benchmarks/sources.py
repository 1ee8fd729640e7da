"""Sources of a task's rows: the hub, a local folder with the same files, or the user's own file.

Images are read lazily, from Arrow on disk, a zip archive or a server.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medix_r1.errors import ConfigError, DataError, Problem
from medix_r1.evaluation.benchmarks.image_server import ImageServer
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.images.archive import ImageArchive

if TYPE_CHECKING:
    from datasets import Dataset

_BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of a task and access to their images.

    Attributes:
        rows: dictionaries; images are not decoded.
        counted: indices of the rows that pass the task's `where`.
        answers: the right answers by the rows' ids, where the task reads them from a file of its own.
        revision: the hub's commit, or a hash of the files; None when neither is known.
        read_image: from an image's cell to its bytes.
        image_key: from an image's cell to a hash that identifies it; an image on a server is not fetched for it.
    """

    rows: Sequence[Mapping[str, Any]]
    counted: Sequence[int]
    revision: str | None
    read_image: Callable[[Any], bytes]
    image_key: Callable[[Any], str]
    answers: Mapping[str, str] | None = None


def problems(task: TaskSpec, data_dir: Path | None) -> list[Problem]:
    """Problems that would keep a task's rows from being read, found without reading any."""
    found: list[Problem] = []
    if task.access == "file" and task.format == "mmmu" and task.answers is None:
        says = "has no value; this split's answers are not public, so give a JSON file {id: answer}"
        found.append(Problem(f"tasks.{task.name}.answers", "no-value", says))
    if task.answers is not None and not Path(task.answers).is_file():
        found.append(Problem(f"tasks.{task.name}.answers", "no-such-file", f"{task.answers} does not exist"))
    if task.file is not None:
        if not _own_files(task.file):
            found.append(Problem(f"tasks.{task.name}.file", "no-such-file", f"{task.file} does not exist"))
        elif Path(task.file).suffix not in _BUILDERS:
            found.append(
                Problem(
                    f"tasks.{task.name}.file", "not-a-file-of-rows", f"{task.file} is none of {', '.join(_BUILDERS)}"
                )
            )
    elif task.path is None:
        found.append(Problem(f"tasks.{task.name}.file", "no-value", "has no value; this task reads a file of your own"))
    elif task.access == "file" and task.files and data_dir is None:
        says = f"has no value; {task.name} is read from a copy: unpack {task.path} into DATA_DIR/{task.path}"
        found.append(Problem("data_dir", "needs-a-copy", says))
    elif data_dir is not None and not (data_dir / task.path).is_dir():
        found.append(
            Problem(
                "data_dir",
                "no-such-file",
                f"{data_dir / task.path} does not exist; it should hold the files of {task.path}",
            )
        )
    if task.image_host is not None and task.file is None:
        found += ImageServer.problems(task.name)
    return found


def open_source(task: TaskSpec, data_dir: Path | None, cache_dir: Path) -> Source:
    """Open a task's rows.

    Args:
        task: what to read.
        data_dir: folder that holds `ORG/NAME` copies of data sets; None reads from the hub.
        cache_dir: of images from a server and of rows whose texts are restricted; only this user can read it.

    Raises:
        DataError: files or columns are missing.
    """
    private = cache_dir / "rows" if task.restricted else None
    answers = _read_answers(Path(task.answers)) if task.answers else None
    with_them = [Path(task.answers)] if task.answers else []
    if task.file is not None:
        files = _own_files(task.file)
        folder, rows, revision = files[0].parent, _read_files(files, private), _digest([*files, *with_them])
    elif data_dir is not None and task.path is not None:
        folder = data_dir / task.path
        files = _split_files(folder, task)
        rows, revision = _read_files(files, private), _digest([*files, *with_them])
    else:
        folder = _download(task)
        files = _split_files(folder, task)
        rows, revision = _read_files(files, private), folder.name + (f"+{_digest(with_them)}" if with_them else "")
    counted = list(range(len(rows)))
    for column, value in task.where.items():
        if column not in rows.column_names:
            raise DataError(
                f"{task.name}: no column {column!r}; there are {', '.join(rows.column_names)}", code="no-such-column"
            )
        wanted = value if isinstance(value, list) else [value]
        counted = [index for index, found in zip(counted, rows.select(counted)[column], strict=True) if found in wanted]
    beside = files[0].parent / task.image_dir if task.image_dir else folder
    read_image, image_key = _image_readers(task, folder, beside, cache_dir)
    return Source(rows, counted, revision, read_image, image_key, answers)


def _own_files(pattern: str) -> list[Path]:
    """The user's own file, or those that a pattern with `*` matches, in the order of their names."""
    path = Path(pattern)
    if "*" not in pattern:
        return [path] if path.is_file() else []
    root = Path(path.anchor) if path.is_absolute() else Path()
    return sorted(found for found in root.glob(str(path.relative_to(root))) if found.is_file())


def _read_answers(path: Path) -> dict[str, str]:
    """Answers by id: `{id: answer}`, or as MMMU keeps them, `{id: {ground_truth: answer}}`."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        told = {str(key): value["ground_truth"] if isinstance(value, dict) else value for key, value in tree.items()}
        answers = {key: value[0] if isinstance(value, list) else value for key, value in told.items()}
    except (OSError, ValueError, AttributeError, LookupError) as error:
        raise DataError(f"{path} is no JSON object of answers by id: {error}", code="not-answers") from error
    return {key: str(value) for key, value in answers.items()}


def _download(task: TaskSpec) -> Path:
    """Download the split's files and the archive into the hub's cache, in a folder named after the commit."""
    import httpx
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    assert task.path is not None
    try:
        try:
            names = HfApi().list_repo_files(task.path, repo_type="dataset", revision=task.revision)
        except OfflineModeIsEnabled:
            return _cached(task)
        wanted = [str(path) for path in _of_split(task, [Path(name) for name in names], task.path)]
        wanted += [task.archive] if task.archive else []
        return Path(snapshot_download(task.path, repo_type="dataset", revision=task.revision, allow_patterns=wanted))
    except (HfHubHTTPError, httpx.HTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"{task.name}: {task.path} cannot be had from the hub ({type(error).__name__}); "
            "without the hub, give data_dir=FOLDER with copies of the data sets",
            code="not-on-the-hub",
        ) from error


def _cached(task: TaskSpec) -> Path:
    """The data set's folder in the hub's cache, also when it holds a part of the files only."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    assert task.path is not None
    try:
        return Path(snapshot_download(task.path, repo_type="dataset", revision=task.revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        if (partial := getattr(error, "snapshot_path", None)) is None:
            raise
        return Path(partial)


def _split_files(folder: Path, task: TaskSpec) -> list[Path]:
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [folder / path for path in _of_split(task, files, folder)]


def _of_split(task: TaskSpec, files: Sequence[Path], where: Path | str) -> list[Path]:
    """Files of the split: its name is part of the file's or is the folder's; the configuration's is in the path.

    A task that names its files takes those alone.
    """
    candidates = [path for path in files if path.suffix in _BUILDERS]
    if task.files:
        named = [path for path in candidates if any(fnmatch.fnmatch(path.as_posix(), name) for name in task.files)]
        if not named:
            there = ", ".join(map(str, candidates[:20])) or "no data files at all"
            raise DataError(
                f"{task.name}: {where} has no file {' or '.join(task.files)}; there are {there}", code="no-such-split"
            )
        return named
    chosen: list[Path] = []
    for config in task.config or ("",):
        fitting = [p for p in candidates if not config or config in (*p.parts, p.stem)]
        split = [p for p in fitting if task.split in (*re.split(r"[-_.]", p.stem), p.parent.name)]
        if not split:
            told = f" in configuration {config!r}" if config else ""
            there = ", ".join(map(str, candidates[:20])) or "no data files at all"
            raise DataError(
                f"{task.name}: {where} has no file of split {task.split!r}{told}; there are {there}",
                code="no-such-split",
            )
        chosen += split
    return chosen


def _read_files(files: Sequence[Path], private: Path | None) -> Dataset:
    """The rows of files; `private` is a folder for copies that only this user can read."""
    import datasets

    datasets.disable_progress_bars()
    if private is not None:
        private.mkdir(parents=True, exist_ok=True)
        private.chmod(0o700)
    cache = str(private) if private else None
    try:
        parts = [
            _undecoded(
                datasets.load_dataset(
                    _BUILDERS[file.suffix], data_files=str(file), split="train", cache_dir=cache, **_words(file)
                )
            )
            for file in files
        ]
        for copy in private.rglob("*") if private else ():
            copy.chmod(0o700 if copy.is_dir() else 0o600)
        return datasets.concatenate_datasets(parts)
    except StopIteration as error:
        raise DataError(f"{', '.join(map(str, files))}: holds no rows", code="no-rows") from error
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        # datasets says only that something went wrong; its cause may quote a cell
        cause = error if private is not None else error.__cause__ or error
        raise DataError(f"{', '.join(map(str, files))}: cannot be read: {cause}", code="not-readable") from error


def _words(file: Path) -> dict[str, Any]:
    """None, NA and null in a CSV are words; only an empty cell is no value."""
    return {"keep_default_na": False, "na_values": [""]} if file.suffix == ".csv" else {}


def _undecoded(rows: Dataset) -> Dataset:
    import datasets

    def plain(feature: Any) -> Any:
        if isinstance(feature, datasets.Image):
            return datasets.Image(decode=False)
        if isinstance(feature, (datasets.Sequence, datasets.features.features.List)):
            return type(feature)(plain(feature.feature))
        return feature

    features = datasets.Features({name: plain(feature) for name, feature in rows.features.items()})
    return rows if features == rows.features else rows.cast(features)


def _digest(files: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return f"sha256:{total.hexdigest()[:16]}"


def _image_readers(
    task: TaskSpec, folder: Path, beside: Path, cache_dir: Path
) -> tuple[Callable[[Any], bytes], Callable[[Any], str]]:
    if task.archive is not None and (task.file is None or task.path is None):  # a benchmark's own lies on the hub
        archive = ImageArchive(folder / task.archive)
        return archive.read, lambda value: _hash(archive.read(value))
    if task.image_host is not None and task.file is None:
        server = ImageServer(task.image_host, cache_dir)
        return server.read, lambda value: _hash(str(value).encode())

    def read(value: Any) -> bytes:
        return _read_plain(value, beside)

    return read, lambda value: _hash(read(value))


def _read_plain(value: Any, folder: Path) -> bytes:
    """Bytes embedded in the row, or of a file beside the rows; a path outside that folder is refused."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise DataError(f"{str(value)[:80]!r} is no image", code="not-an-image")
    path = (folder / value).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"image {value!r} lies outside {folder}", code="outside-its-folder")
    if not path.is_file():
        raise DataError(f"image {path} does not exist", code="no-such-file")
    return path.read_bytes()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def check_data_dir(data_dir: str | None) -> Path | None:
    """The folder as a path, None for None; raises `ConfigError` when it does not exist."""
    if data_dir is None:
        return None
    path = Path(os.path.expanduser(data_dir))
    if not path.is_dir():
        raise ConfigError.of("data_dir", "no-such-file", f"{data_dir} does not exist")
    return path
