"""Checks the validation rows against `run.looking`: without two pictures, the first validation would end the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medix_r1.data.row import IMAGE_MARK
from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.images.asked_again import asked_again, identity
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_files import SUFFIXES, UnreadableFile, read_columns

_SHARE, _KINDS = "run.looking.share", "run.looking.kinds"
_LOOK = "look at data.val_files, or use 0"


def looking_rows_problems(config: DictConfig) -> Iterator[Problem]:
    """Nothing to ask again, or nothing that can stand in; files that cannot be read are reported elsewhere."""
    looking, paths = config.run.looking, [named_path(name) for name in batches.data_files(config, "val_files")]
    if not looking.share or not paths or not all(path.is_file() and path.suffix in SUFFIXES for path in paths):
        return
    keys = (config.data.prompt_key, "data_source", "reward_model", "extra_info")
    try:
        rows = [row for path in paths for row in read_columns(path, keys)]
        shown = {number: row for number, row in enumerate(rows) if _shows_one(row[keys[0]])}
        identities = {number: identity(row) for number, row in shown.items()}
    except (UnreadableFile, LookupError, TypeError, AttributeError):
        return
    if not rows:
        return
    if not shown:
        says = f"{looking.share:g}, but no row of data.val_files shows a picture; {_LOOK}"
        yield Problem(_SHARE, "no-pictures", says)
        return
    if 0 < config.data.val_max_samples < len(rows):
        return  # verl takes some of the rows, by chance
    numbers = asked_again(identities, looking.share)
    if not numbers:
        says = (
            f"{looking.share:g}, but each row of data.val_files that shows a picture has the data_source, "
            f"extra_info.row_id and reference of another, so that their replies cannot be told apart; {_LOOK}"
        )
        yield Problem(_SHARE, "no-pictures", says)
    elif "shuffled" in looking.kinds and not _differ(config, paths, set(numbers)):
        says = (
            f"shuffled, but the {len(numbers)} row(s) of data.val_files that are asked again show one picture, which "
            f"nothing can stand in for; raise {_SHARE}, or use [blank]"
        )
        yield Problem(_KINDS, "nothing-to-shuffle", says)


def _shows_one(messages: Any) -> bool:
    return any(IMAGE_MARK in str(message.get("content")) for message in messages or ())


def _differ(config: DictConfig, paths: Sequence[Path], chosen: set[int]) -> bool:
    """Whether the chosen rows show two pictures that differ; True too where a picture cannot be read."""
    first: bytes | None = None
    number = -1
    for path in paths:
        for row in read_columns(path, [config.data.image_key]):
            number += 1
            for picture in (row.get(config.data.image_key) or ()) if number in chosen else ():
                content = _content(picture)
                if content is None or (first is not None and content != first):
                    return True
                first = content
    return first is None


def _content(picture: Any) -> bytes | None:
    if isinstance(picture, Mapping) and isinstance(content := picture.get("bytes"), bytes):
        return content
    name = picture.get("path") or picture.get("image") if isinstance(picture, Mapping) else picture
    try:
        return Path(str(name).removeprefix("file://")).read_bytes()
    except OSError:
        return None
