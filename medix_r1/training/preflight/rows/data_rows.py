"""Checks data files before verl reads them: their layout, their first rows, and all rows against the config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from omegaconf import DictConfig

from medix_r1.config import config_dir
from medix_r1.data.prepared import is_prepared
from medix_r1.errors import Problem
from medix_r1.grammar import ModalityTag, parse_reference
from medix_r1.host.folders import named_path
from medix_r1.host.yaml_text import read_yaml
from medix_r1.model_names import BUILD_DEMO
from medix_r1.rewards.base import NO_MODALITY
from medix_r1.training.preflight.groups import column_problems
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_files import (
    FIRST_ROWS,
    SUFFIXES,
    DataFile,
    UnreadableFile,
    later_rows,
    read_all,
    read_beginning,
)
from medix_r1.training.preflight.rows.each_row import Asked, image_limit, row_problems, too_many, unreadable_image

_MOST_FILES = 8  # most files whose first rows are read; they are spread evenly over all files


def data_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of the files of `data.train_files` and `data.val_files`; reads no image but the first few."""
    seen: set[tuple[str, str]] = set()
    for problem in _all_problems(config):
        if problem.code == "no-such-file" or (problem.key, problem.code) not in seen:
            yield problem
        seen.add((problem.key, problem.code))


def file_name_problems(config: DictConfig) -> Iterator[Problem]:
    """Data of which no file is named, or files that verl cannot read by their names; reads nothing."""
    for key in ("train_files", "val_files"):
        names = batches.data_files(config, key)
        if not names:
            yield Problem(f"data.{key}", "no-value", "no file is named; give at least one")
        for name in names:
            if Path(name).suffix not in SUFFIXES:
                says = f"{name}: verl reads {', '.join(SUFFIXES)}; for other data see {_PREPARE_PAGE}"
                yield Problem(f"data.{key}", "unreadable-file", says)


def _all_problems(config: DictConfig) -> Iterator[Problem]:
    readable = True
    for key in ("train_files", "val_files"):
        names = batches.data_files(config, key)
        paths = [named_path(name) for name in names]
        for name, path in zip(names, paths, strict=True):
            if not path.is_file() and Path(name).suffix in SUFFIXES:  # else its name is the problem
                demo = named_path(config.demo_dir) if "demo_dir" in config else None
                is_demos = demo is not None and demo in path.parents
                hint = BUILD_DEMO if is_demos else _PREPARE_PAGE
                what = "is a folder; name the files in it" if path.is_dir() else "does not exist"
                yield Problem(f"data.{key}", "no-such-file", f"{name} {what}; {hint}")
        there = [path for path in paths if path.is_file() and path.suffix in SUFFIXES]  # else its name is the problem
        found = list(_beginnings(config, f"data.{key}", there))
        yield from found
        if not any(problem.code in _UNREADABLE for problem in found):
            yield from _later_problems(config, f"data.{key}", there)
        if key == "train_files":
            whole = bool(paths) and all(path.is_file() for path in paths)
            readable = whole and not any(problem.code in _UNREADABLE for problem in found)
    if readable:
        yield from _step_problems(config)
        yield from _all_rows_problems(config, [named_path(name) for name in batches.data_files(config, "train_files")])


_UNREADABLE = ("unreadable-file", "another-layout", "no-rows")
_PREPARE_PAGE = "medix-r1 data prepare (docs/data.md)"


def _beginnings(config: DictConfig, key: str, paths: Sequence[Path]) -> Iterator[Problem]:
    """The problems in the beginning of some of the files."""
    first: pa.Schema | None = None
    for path in paths[:: -(-len(paths) // _MOST_FILES) or 1]:
        try:
            file = read_beginning(path, config.data.image_key)
        except UnreadableFile as error:
            yield Problem(key, "unreadable-file", str(error))
            continue
        layout = list(_layout_problems(config, key, file))
        yield from layout
        if layout:
            continue
        if first is not None and (other := _other_columns(first, file.schema)):
            yield Problem(
                key,
                "files-differ",
                f"{path} has other types than the files before it in {', '.join(other)}; verl joins the files, "
                "so prepare them together",
            )
        first = first or file.schema
        yield from _problems_of_rows(config, key, file)


def _later_problems(config: DictConfig, key: str, paths: Sequence[Path]) -> Iterator[Problem]:
    """The first problem in the other rows of each file that `data prepare`, which looks at every row, did not write."""
    for path in paths:
        if is_prepared(path.parent):
            continue
        try:
            asked = Asked.of(config, read_beginning(path, config.data.image_key).schema)
            for number, row in enumerate(later_rows(path), FIRST_ROWS):
                if first := next(row_problems(asked, key, row, str(path)), None):
                    yield replace(first, text=f"{path}, row {number}: {first.text}")
                    break
        except UnreadableFile as error:
            yield Problem(key, "unreadable-file", str(error))


def _other_columns(one: pa.Schema, two: pa.Schema) -> list[str]:
    names = set(one.names) | set(two.names)
    types = [(schema.field(name).type if name in schema.names else None) for schema in (one, two) for name in names]
    return sorted(
        name for name, left, right in zip(names, types[: len(names)], types[len(names) :], strict=True) if left != right
    )


def _layout_problems(config: DictConfig, key: str, file: DataFile) -> Iterator[Problem]:
    schema, prompt = file.schema, config.data.prompt_key
    if not file.rows:
        yield Problem(key, "no-rows", f"{file.path} has no rows")
        return
    missing = [name for name in (prompt, "reward_model") if name not in schema.names]
    if not missing and not _is_chat(schema.field(prompt).type):
        missing.append(f"{prompt} as a list of {{role, content}}")
    if not missing and _field(schema.field("reward_model").type, "ground_truth") is None:
        missing.append("reward_model.ground_truth")
    if missing:
        yield Problem(
            key,
            "another-layout",
            f"{file.path} has no {', no '.join(missing)}, which verl reads (its columns: {', '.join(schema.names)}); "
            f"turn it into rows for verl first: {prepare_line(file)}",
        )
        return
    yield from column_problems(config, key, schema)
    truth = _field(schema.field("reward_model").type, "ground_truth")
    if truth is not None and not _is_text(truth):
        yield Problem(
            key,
            "reference-not-text",
            f"{file.path}: reward_model.ground_truth is {truth}; one text is wanted (further right answers belong "
            f"into extra_info.answers)",
        )
    question = _field(schema.field("extra_info").type, "question") if "extra_info" in schema.names else None
    if question is None:
        yield Problem(
            key,
            "no-question",
            f"{file.path} has no extra_info.question, so the judge would see no question; add it, or prepare the "
            f"data anew: {prepare_line(file)}",
        )


def _is_chat(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    return _field(kind.value_type, "role") is not None and _field(kind.value_type, "content") is not None


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _field(kind: pa.DataType, name: str) -> pa.DataType | None:
    if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
        return None
    found: pa.DataType = kind.field(name).type
    return found


def prepare_line(file: DataFile) -> str:
    """The `data prepare` command for a file of another layout; columns that nobody can guess stand as COLUMN."""
    kind = "parquet" if file.path.suffix == ".parquet" else "jsonl"
    settings = read_yaml(config_dir() / "prepare" / "rows" / "default.yaml")
    columns = [
        f"data.columns.{field}=COLUMN"
        for field in ("question", "answer")
        if not any(_has_column(file.schema, name) for name in settings["columns"][field])
    ]
    path, out = file.path, f"data/{file.path.parent.name or 'prepared'}"
    line = " ".join(["medix-r1 data prepare", f"data={kind}", f"data.path={path}", *columns, f"out={out}"])
    return f"{line}, then train with data=prepared data.folder={out}"


def _has_column(schema: pa.Schema, name: str) -> bool:
    first, _, rest = name.partition(".")
    if first not in schema.names:
        return False
    return not rest or _field(schema.field(first).type, rest) is not None


def _problems_of_rows(config: DictConfig, key: str, file: DataFile) -> Iterator[Problem]:
    asked = Asked.of(config, file.schema)
    for number, row in enumerate(file.rows):
        for problem in row_problems(asked, key, row, str(file.path)):
            yield replace(problem, text=f"{file.path}, row {number}: {problem.text}")
    for number, pictures in enumerate(file.with_bytes):
        if not file.decodes_images and (fault := unreadable_image(pictures)) is not None:
            yield Problem(
                key,
                "image-not-readable",
                f"{file.path}, row {number}: {fault}; verl reads a list of {{bytes}} or of paths, "
                f"as `medix-r1 data prepare` writes it",
            )


def _step_problems(config: DictConfig) -> Iterator[Problem]:
    batch, epochs, steps = batches.of_config(config), config.trainer.total_epochs, config.trainer.total_training_steps
    epoch = batch.steps_per_epoch
    if epoch is None:
        return
    if epoch == 0 and config.data.curriculum.band is None:  # else difficulty.py says what the band leaves
        yield Problem(
            "data.train_batch_size",
            "no-whole-batch",
            f"{batch.prompts} prompts a step are more than the {batch.train_rows} rows of data.train_files, so there "
            f"is no step; use at most {batch.train_rows}",
        )
    elif epoch and steps is not None and steps > epoch * epochs:
        yield Problem(
            "trainer.total_training_steps",
            "steps-beyond-epochs",
            f"{steps} steps do not fit into {epochs} epoch(s) of {epoch} steps, after which verl ends the run; use at "
            f"most {epoch * epochs}, or trainer.total_epochs={-(-steps // epoch)}",
        )


def _all_rows_problems(config: DictConfig, paths: Sequence[Path]) -> Iterator[Problem]:
    try:
        rows = read_all(paths)
    except UnreadableFile as error:
        yield Problem("data.train_files", "unreadable-file", str(error))
        return
    limit = image_limit(config)
    if rows.images is not None and limit is not None and rows.images[0] > limit:
        yield too_many(rows.images[0], rows.images[1], limit)
    tables = config.reward.weight_tables
    tags = {parse_reference(text).modality or NO_MODALITY for text in rows.references}
    for kind, known in (("source", rows.sources), ("modality", tags)):
        for name in tables.get(kind) or {}:
            if known and name not in known and (kind == "source" or name in (*ModalityTag.__members__, NO_MODALITY)):
                has = ", ".join(sorted(known)[:20])
                yield Problem(
                    f"reward.weight_tables.{kind}.{name}",
                    "table-without-rows",
                    f"no row of data.train_files has the {kind} '{name}'; they have: {has}",
                )
