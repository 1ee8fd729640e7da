"""Measures the first prompts by the model's own chat template, tokenizer and resize rule.

Of data that `data prepare` wrote, they are compared with its counts, which may be of another backbone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from PIL import Image

from medix_r1.data.lengths.chat_template import split_message
from medix_r1.data.lengths.tokens import PromptCounter, ResizeRule
from medix_r1.data.prepared import is_prepared, read_index, read_manifest
from medix_r1.data.row import RowRejected
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.folders import named_path
from medix_r1.training.preflight.model.model_folder import snapshot
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_files import DataFile, UnreadableFile, read_all, read_beginning
from medix_r1.training.preflight.rows.lengths import token_side

_LIMIT = "data.max_prompt_length"
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, Image.DecompressionBombError)


def prompt_length_problems(config: DictConfig) -> Iterator[Problem]:
    """A problem for the first prompt of a file that is longer than verl takes, or has an image that no loader takes."""
    if config.data.filter_overlong_prompts:
        return  # verl leaves long prompts out
    try:
        counter = PromptCounter(snapshot(config.actor_rollout_ref.model.path))
    except (ConfigError, OSError):
        return  # there is no model here, its processor is unknown, or another check reports it
    for key in ("train_files", "val_files"):
        for path in [named_path(name) for name in batches.data_files(config, key)][:1]:
            if path.is_file():
                look = _recount if is_prepared(path.parent) else _first_problem
                found = list(look(config, f"data.{key}", path, counter))
                yield from found
                if any(problem.key == _LIMIT for problem in found):
                    return  # the next file would have the same key


def _first_problem(config: DictConfig, key: str, path: Path, counter: PromptCounter) -> Iterator[Problem]:
    try:
        file = read_beginning(path, config.data.image_key)
    except UnreadableFile:
        return  # reported by the checks of the data
    limit = config.data.max_prompt_length
    for number, (messages, pictures) in enumerate(_rows(config, file)):
        said = "\n".join(str(message.get("content")) for message in messages)
        if found := [token for token in counter.control_tokens if token in said]:
            says = f"{', '.join(found)} in the text is a token of the model's own, which it reads as such; reword it"
            yield Problem(key, "control-token", f"{path}, row {number}: {says}")
            return
        try:
            text, sizes, images = _measured(config, counter, messages, pictures)
        except RowRejected as error:
            yield Problem(key, "image-not-readable", f"{path}, row {number}: {error.detail}")
            return
        except (ConfigError, *_UNREADABLE):
            return  # another layout, or a template that fails: reported
        if text + images > limit:
            shown = f"{images} of images of {', '.join(f'{wide}x{high}' for wide, high in sizes)} pixels"
            yield Problem(
                _LIMIT,
                "prompt-too-long",
                f"{limit} is less than the {text + images} tokens of {path}, row {number} ({text} of text, {shown}), "
                "at which verl stops; allow more, take smaller images (data.mm_processor_kwargs.max_pixels), or let "
                "verl leave long rows out (data.filter_overlong_prompts=true)",
            )
            return


def _recount(config: DictConfig, key: str, path: Path, counter: PromptCounter) -> Iterator[Problem]:
    """A problem if this model's template makes the longest prepared prompt too long; Thinking models' are longer."""
    folder, model, limit = path.parent, config.actor_rollout_ref.model.path, config.data.max_prompt_length
    try:
        named = read_manifest(folder)["plan"]["backbone"]["name"]
        longest = read_all(sorted(folder.glob(f"{path.name.partition('-')[0]}-*.parquet"))).longest
        if named == model or longest is None or longest > limit or token_side(named) != token_side(model):
            return  # nothing can be compared, or another check reports it
        index = read_index(folder, ["shard", "position", "text_tokens"]).to_pylist()
        counted = {row["position"]: row["text_tokens"] for row in index if row["shard"] == path.name}
        rows = read_beginning(path, config.data.image_key).rows
        extra = max(_text_tokens(config, counter, row) - counted[number] for number, row in enumerate(rows))
    except (ConfigError, UnreadableFile, *_UNREADABLE):
        return  # reported by the checks of the data and of the template
    if longest + extra > limit:
        yield Problem(
            key,
            "prepared-for-another-backbone",
            f"the chat template of {model} makes a prompt {extra} tokens longer than that of {named}, which counted "
            f"the lengths of {folder}; its longest row then has {longest + extra}, more than {_LIMIT}={limit}; prepare "
            f"the data again with backbone={model}, or let verl leave long rows out "
            "(data.filter_overlong_prompts=true)",
        )


def _text_tokens(config: DictConfig, counter: PromptCounter, row: Mapping[str, Any]) -> int:
    images = len(row.get(config.data.image_key) or ())
    return counter.chat_tokens([split_message(message, images) for message in row[config.data.prompt_key]], images)


def _rows(config: DictConfig, file: DataFile) -> Iterator[tuple[Sequence[Mapping[str, Any]], Sequence[Any]]]:
    pictures = file.with_bytes or [()] * len(file.rows)
    for row, own in zip(file.rows, pictures, strict=False):
        yield row.get(config.data.prompt_key) or (), own or ()


def _measured(
    config: DictConfig, counter: PromptCounter, messages: Sequence[Mapping[str, Any]], pictures: Sequence[Any]
) -> tuple[int, list[tuple[int, int]], int]:
    """Tokens of the text, sizes of the images, and tokens of the images."""
    limits = config.data.get("mm_processor_kwargs") or {}
    processor = replace(
        counter.rule,
        processor_min_pixels=limits.get("min_pixels") or counter.rule.processor_min_pixels,
        processor_max_pixels=limits.get("max_pixels") or counter.rule.processor_max_pixels,
    )
    sizes = [_size(picture) for picture in pictures]
    images = sum(_loaded(processor, picture).tokens(*size) for picture, size in zip(pictures, sizes, strict=True))
    split = [split_message(message, len(pictures)) for message in messages]
    return counter.chat_tokens(split, len(pictures)), sizes, images


def _loaded(rule: ResizeRule, picture: Any) -> ResizeRule:
    """The rule with the limits that a row gives the loader for this image."""
    own = picture if isinstance(picture, Mapping) else {}
    return replace(rule, loader_min_pixels=own.get("min_pixels"), loader_max_pixels=own.get("max_pixels"))


def _size(picture: Any) -> tuple[int, int]:
    source = picture if isinstance(picture, str) else io.BytesIO(picture["bytes"])
    with Image.open(source) as image:
        return image.size
