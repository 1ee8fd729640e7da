"""Composes configs/prepare and validates all of it before any data is read."""

from __future__ import annotations

import codecs
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf

from medix_r1.composing import NOT_COMPOSED, composing, instantiate
from medix_r1.config import config_dir
from medix_r1.data.check import RowRules
from medix_r1.data.meaning import conversations, options, tags
from medix_r1.data.sources.base import Source
from medix_r1.data.sources.hidden import HiddenNames
from medix_r1.errors import ConfigError, Problem
from medix_r1.grammar import ModalityTag
from medix_r1.images.rules import limit_problems, rules_of, window_problems
from medix_r1.moved_names import replace_moved
from medix_r1.schema import command_line

MAX_NEAR_DISTANCE = 7
_MOST_MEBIBYTES = 100_000
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
    """Compose prepare.yaml with command-line overrides, resolved.

    Raises:
        ConfigError: an unknown key or choice, with the nearest known one.
    """
    folder = config_dir() / "prepare"
    good, problems = command_line.parse(overrides)
    if problems:
        raise ConfigError(problems)
    with composing(folder):
        try:
            config = compose("prepare", overrides=list(map(_adding, good)), return_hydra_config=True)
            choice = config.hydra.runtime.choices["data"]
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            tree = OmegaConf.to_container(config, resolve=True)
        except NOT_COMPOSED as error:
            raise ConfigError([_explain(error, folder)]) from error
    assert isinstance(tree, dict)
    replace_moved(tree, tree)
    return {**{str(key): value for key, value in tree.items()}, "out": tree["out"] or f"data/{choice}"}


def _adding(override: str) -> str:
    """An override of a mapping whose keys are the user's own, in the form in which Hydra takes new keys."""
    return f"++{override}" if override.startswith(_OPEN) else override


def _explain(error: Exception, folder: Path) -> Problem:
    if isinstance(error, MissingConfigException):
        known = sorted(path.stem for path in (folder / "data").glob("*.yaml"))
        wanted = str(error.missing_cfg_file).rpartition("/")[2]
        near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        return Problem(f"data={wanted}", "no-such-kind", f"no such kind{hint} (known: {', '.join(known)})")
    text = str(error)
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        text = f"{text.splitlines()[0]} {error.__cause__}"
    return Problem("config", "not-composed", " ".join(text.split()))


def read_settings(overrides: Sequence[str]) -> Settings:
    """Compose and validate the settings, then open the source.

    Raises:
        ConfigError: all problems together.
    """
    tree = compose_prepare(overrides)
    if problems := list(_problems(tree)):
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
        tags=tree["data"].get("tags") or {},
        answer_is=tree["data"].get("answer_is"),
        answer_list=tree["data"].get("answer_list", "alternatives"),
        question_until=tree["data"].get("question_until"),
    )


def _problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    image, split = tree["image"], tree["split"]
    for key, value, choices in (
        ("think_element", tree["think_element"], ("think", "thinking")),
        ("overlong", tree["overlong"], ("shrink", "set_aside")),
        ("default_tag", tree["default_tag"], (None, *ModalityTag)),
        ("confidence", tree["confidence"], (True, False)),
        ("instructions", tree["instructions"], (True, False)),
    ):
        if value not in choices:
            yield Problem(key, "not-a-choice", f"{value!r} is none of {', '.join(str(choice) for choice in choices)}")
    for key, value, low, high in (
        ("max_prompt_tokens", tree["max_prompt_tokens"], 1, 2**31),
        ("unit_rows", tree["unit_rows"], 1, 10**6),
        ("split.seed", split["seed"], 0, 2**63),
        ("split.near_distance", split["near_distance"], 0, MAX_NEAR_DISTANCE),
        ("workers", tree["workers"] or 1, 1, 1024),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            yield Problem(key, "not-a-whole-number", f"{value!r} is not a whole number from {low} to {high}")
    yield from _row_problems(tree["data"])
    yield from limit_problems(image, "image.")
    size = tree["shard_mebibytes"]
    if not _is_number(size) or not 0 < size <= _MOST_MEBIBYTES:
        yield Problem(
            "shard_mebibytes", "out-of-range", f"{size!r} is not a number above 0 and up to {_MOST_MEBIBYTES}"
        )
    if not _is_number(split["validation"]) or not 0 <= split["validation"] < 1:
        yield Problem("split.validation", "out-of-range", f"{split['validation']!r} is not a share from 0 to below 1")
    yield from _pixel_problems(image)
    yield from window_problems(image, "image.")


def _row_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    for key, choices in (
        ("answer_is", (None, *options.ANSWER_IS)),
        ("answer_list", ("alternatives", "all")),
        ("default_tag", (None, *ModalityTag)),
        ("turns", conversations.TURNS),
        ("system", conversations.SYSTEM),
        ("hide_names", (True, False)),
    ):
        if key in data and data[key] not in choices:
            known = ", ".join("null" if choice is None else str(choice) for choice in choices)
            yield Problem(f"data.{key}", "not-a-choice", f"{data[key]!r} is none of {known}")
    if (encoding := data.get("encoding")) is not None and not _is_encoding(encoding):
        yield Problem("data.encoding", "not-a-choice", f"{encoding!r} is no encoding that Python knows, as cp1252 is")
    delimiter = data.get("delimiter")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        yield Problem("data.delimiter", "not-a-choice", f"{delimiter!r} is not one character")
    for key in ("tags", "where", "columns"):
        if not isinstance(data.get(key) or {}, Mapping):
            yield Problem(f"data.{key}", "not-a-mapping", f"{data[key]!r} is not a mapping")
            return
    yield from tags.map_problems(data.get("tags") or {})
    share = data.get("max_rejected", 1.0)
    if not _is_number(share) or not 0 <= share <= 1:
        yield Problem("data.max_rejected", "out-of-range", f"{share!r} is not a share from 0 to 1")


def _is_encoding(name: Any) -> bool:
    try:
        codecs.lookup(str(name))
    except LookupError:
        return False
    return True


def _pixel_problems(image: Mapping[str, Any]) -> Iterator[Problem]:
    low, high = image["min_pixels"], image["max_pixels"]
    for key, value in (("min_pixels", low), ("max_pixels", high)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            yield Problem(f"image.{key}", "not-a-number-of-pixels", f"{value!r} is neither a number of pixels nor null")
            return
    if low and high and low > high:
        yield Problem("image.min_pixels", "min-above-max", f"{low} is above image.max_pixels={high}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
