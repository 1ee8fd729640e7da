"""Composes configs/prepare and validates all of it before any data is read."""

from __future__ import annotations

import codecs
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import OmegaConf

from medix_r1.composing import composing, instantiate
from medix_r1.config import config_dir, flatten
from medix_r1.data.check import RowRules
from medix_r1.data.meaning import conversations, options, tags
from medix_r1.data.sources.base import Source
from medix_r1.data.sources.hidden import HiddenNames
from medix_r1.errors import ConfigError, Problem
from medix_r1.images.archive import is_archive
from medix_r1.images.rules import limit_problems, rules_of, window_problems
from medix_r1.schema import command_line
from medix_r1.schema.moved_names import replace_moved
from medix_r1.schema.tables import composed_rest, value_problems

MAX_NEAR_DISTANCE = 7
_OPEN = tuple(f"data.{name}{follows}" for name in ("tags", "where") for follows in "=.")
_OF_ROWS = (  # keys of `data` that no source takes
    *("tags", "answer_is", "answer_list", "question_until", "default_tag", "hide_names", "max_rejected"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """A validated configs/prepare/prepare.yaml."""

    out: Path
    backbone: str
    min_pixels: int | None
    max_pixels: int | None
    rules: RowRules
    source: Source
    max_rejected: float
    validation: float
    seed: int
    near_distance: int
    workers: int
    unit_rows: int
    shard_bytes: int
    tree: Mapping[str, Any]  # as composed, for the manifest


def compose_prepare(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose prepare.yaml with command-line overrides, resolved; texts of numbers are converted.

    Raises:
        ConfigError: all unknown keys and choices, each with the nearest known one, and values of another kind.
    """
    tree, problems = _composed(overrides)
    if problems:
        raise ConfigError(problems)
    return tree


def _composed(overrides: Sequence[str]) -> tuple[dict[str, Any], list[Problem]]:
    """The tree with the problems of its keys and values.

    Raises:
        ConfigError: Hydra composes nothing.
    """
    folder = config_dir() / "prepare"
    good, problems = command_line.parse(overrides)
    choices = command_line.wrong_choices(good, [folder])
    problems += choices.values()

    def make(left: Sequence[str]) -> Any:
        config = compose("prepare", overrides=list(left), return_hydra_config=True)
        chosen = config.hydra.runtime.choices["data"]
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        return OmegaConf.to_container(config, resolve=True), chosen

    with composing(folder):
        files = [one for one in good if one.startswith("data=") and one not in choices]
        known = {key for key, _ in flatten(make(files)[0])}
        rest = [_adding(one) for one in good if one not in choices]
        made, refused = composed_rest(make, rest, known)
    problems += refused
    if made is None:
        raise ConfigError(problems)
    tree, choice = made
    replace_moved(tree, tree)
    problems += value_problems(tree, "prepare")
    tree = {str(key): value for key, value in tree.items()}
    return {**tree, "out": tree["out"] or f"data/{choice}"}, problems


def _adding(override: str) -> str:
    """An override of a mapping whose keys are the user's own, in the form in which Hydra takes new keys."""
    return f"++{override}" if override.startswith(_OPEN) else override


def read_settings(overrides: Sequence[str]) -> Settings:
    """Compose and validate the settings, then open the source.

    Raises:
        ConfigError: all problems together.
    """
    tree, problems = _composed(overrides)
    named = {problem.key for problem in problems}
    problems += (problem for problem in _problems(tree, named) if problem.key not in named)
    if problems:
        raise ConfigError(problems)
    image, split = tree["image"], tree["split"]
    source = open_source(tree["data"])
    if tree["data"].get("hide_names"):
        source = HiddenNames(source, tree["data"].get("name"))
    return Settings(
        out=Path(tree["out"]).expanduser(),
        backbone=tree["backbone"],
        min_pixels=image["min_pixels"],
        max_pixels=image["max_pixels"],
        rules=_row_rules(tree, source.name),
        source=source,
        max_rejected=tree["data"].get("max_rejected", 1.0),
        validation=split["validation"],
        seed=split["seed"],
        near_distance=split["near_distance"],
        workers=tree["workers"] or len(os.sched_getaffinity(0)),
        unit_rows=tree["unit_rows"],
        shard_bytes=int(tree["shard_mebibytes"] * 2**20),
        tree=tree,
    )


def open_source(node: Mapping[str, Any]) -> Source:
    """Build the source of a composed `data` node.

    Raises:
        ConfigError: its files are missing.
    """
    source: Source = instantiate({key: value for key, value in node.items() if key not in _OF_ROWS}, "data")
    return source


def _row_rules(tree: Mapping[str, Any], name: str) -> RowRules:
    return RowRules(
        image=rules_of(tree["image"]),
        default_source=name,
        default_tag=tree["default_tag"] or tree["data"].get("default_tag"),
        think_element=tree["think_element"],
        confidence=tree["confidence"],
        instructions=tree["instructions"],
        max_prompt_tokens=tree["max_prompt_tokens"],
        overlong=tree["overlong"],
        tags=tags.words_of(tree["data"].get("tags") or {}),
        answer_is=tree["data"].get("answer_is"),
        answer_list=tree["data"].get("answer_list", "alternatives"),
        question_until=tree["data"].get("question_until"),
    )


def _problems(tree: Mapping[str, Any], wrong: Collection[str]) -> Iterator[Problem]:
    """What the kinds of single values do not say.

    Args:
        tree: as composed.
        wrong: keys whose values are of another kind.
    """

    def right(node: str) -> dict[str, Any]:
        values = {} if node in wrong else tree[node]
        return {name: value for name, value in values.items() if f"{node}.{name}" not in wrong}

    yield from _row_problems(right("data"))
    image = right("image")
    yield from limit_problems(image, "image.")
    yield from _pixel_problems(image)
    yield from window_problems(image, "image.")


def _row_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    for key, choices in (
        ("answer_is", (None, *options.ANSWER_IS)),
        ("turns", conversations.TURNS),
        ("system", conversations.SYSTEM),
    ):
        if key in data and data[key] not in choices:
            known = ", ".join("null" if choice is None else str(choice) for choice in choices)
            yield Problem(f"data.{key}", "not-a-choice", f"{data[key]!r} is none of {known}")
    if (encoding := data.get("encoding")) is not None and not _is_encoding(encoding):
        yield Problem("data.encoding", "not-a-choice", f"{encoding!r} is no encoding that Python knows, as cp1252 is")
    delimiter = data.get("delimiter")
    if delimiter is not None and len(delimiter) != 1:
        yield Problem("data.delimiter", "not-a-choice", f"{delimiter!r} is not one character")
    yield from tags.map_problems(data.get("tags") or {})
    yield from _image_root_problems(data.get("image_root"))


def _image_root_problems(value: str | None) -> Iterator[Problem]:
    if not value:
        return
    path, key = Path(value).expanduser(), "data.image_root"
    if not path.exists():
        yield Problem(key, "no-such-file", f"{path} does not exist")
    elif not path.is_dir() and not is_archive(path):
        yield Problem(key, "not-a-folder", f"{path} is neither a folder nor a zip archive; unpack it first")


def _is_encoding(name: Any) -> bool:
    try:
        codecs.lookup(str(name))
    except LookupError:
        return False
    return True


def _pixel_problems(image: Mapping[str, Any]) -> Iterator[Problem]:
    low, high = image.get("min_pixels"), image.get("max_pixels")
    if low and high and low > high:
        yield Problem("image.min_pixels", "min-above-max", f"{low} is above image.max_pixels={high}")
