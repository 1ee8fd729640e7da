"""Checks one row of a data file: its chat, its pictures, its reference and its question."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from medix_r1.data.row import IMAGE_MARK
from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.training.preflight.model.model_shape import is_text_only

_OTHER_MEDIA = ("<video>", "<audio>")  # verl reads them as it reads <image>
_ROLES = ("system", "user", "assistant", "tool")
_LIMIT = "actor_rollout_ref.rollout.engine_kwargs.vllm.limit_mm_per_prompt"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the config asks of every row.

    Attributes:
        prompt, image: keys of the prompt and of the pictures.
        has_images: whether there is such a column.
        limit: most images of a prompt that vLLM takes; None without a limit.
        model: the policy's name, if it reads text alone; else empty.
    """

    prompt: str
    image: str
    has_images: bool
    limit: int | None
    model: str

    @classmethod
    def of(cls, config: DictConfig, schema: pa.Schema) -> Self:
        """Read a config; a row of the file may lack what its schema has."""
        data, model = config.data, str(config.actor_rollout_ref.model.path)
        named = model if is_text_only(model) else ""
        return cls(data.prompt_key, data.image_key, data.image_key in schema.names, image_limit(config), named)


def row_problems(asked: Asked, key: str, row: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Problems of a row, whose pictures may be left out; `where` is its file."""
    pictures = row.get(asked.image) or ()
    number = len(pictures) if isinstance(pictures, list) else 0
    messages = row.get(asked.prompt) or ()
    texts = [text for message in messages if isinstance(text := message.get("content"), str)]
    marks = sum(text.count(IMAGE_MARK) for text in texts)
    if not any(message.get("content") for message in messages):
        yield Problem(key, "no-prompt", f"{asked.prompt} is empty")
    elif marks != number and (asked.image in row or not asked.has_images):
        yield Problem(
            key,
            "image-marks",
            f"{marks} {IMAGE_MARK} mark(s) for {number} image(s) in data.image_key={asked.image}; verl wants as many",
        )
    elif number and (media := [mark for mark in _OTHER_MEDIA if any(mark in text for text in texts)]):
        says = f"{', '.join(media)} in the text stands for a file that is not there; reword it"
        yield Problem(key, "media-marks", says)
    roles = [message.get("role") for message in messages]
    if messages and (roles[-1] != "user" or not {*roles} <= {*_ROLES}):
        says = f"the roles of {asked.prompt} are {', '.join(map(str, roles))}; use {', '.join(_ROLES)}, and user last"
        yield Problem(key, "not-a-chat", says)
    if asked.limit is not None and number > asked.limit:
        yield too_many(number, where, asked.limit)
    if number and asked.model:
        says = f"{number} image(s), but {asked.model} reads text alone; train a vision-language model (docs/models.md)"
        yield Problem(key, "model-without-vision", says)
    reference = (row.get("reward_model") or {}).get("ground_truth")
    if not isinstance(reference, str):  # references.py looks at the texts
        yield Problem(key, "no-reference", "reward_model.ground_truth is no text, so no answer can be right")
    extra = row.get("extra_info") or {}
    if not isinstance(question := extra.get("question"), str) or not question.strip():
        yield Problem(key, "no-question", "extra_info.question is empty or no text, so the judge would see no question")
    for name in ("answers", "choices"):
        if not isinstance(extra.get(name) or [], list):
            yield Problem(key, "not-a-list", f"extra_info.{name} is {type(extra[name]).__name__}, not a list of texts")


def unreadable_image(pictures: Any) -> str | None:
    """Why verl, or the policy's processor, cannot read the pictures of a row; None if they can."""
    if pictures is None:
        return None
    if not isinstance(pictures, list):
        return f"the images are {type(pictures).__name__}, not a list"
    for picture in pictures:
        if isinstance(picture, str):
            if "://" not in picture and not named_path(picture).is_file():
                return f"{picture} does not exist"
            if "://" not in picture and (fault := _undecodable(picture)) is not None:
                return f"{picture}: {fault}"
        elif not isinstance(picture, dict):
            return f"an image is {type(picture).__name__}"
        elif not isinstance(content := picture.get("bytes"), bytes):
            return None if picture.get("image") or picture.get("image_url") else "an image has no bytes"
        elif (fault := _undecodable(io.BytesIO(content))) is not None:
            return f"an image cannot be read ({fault})"
    return None


def _undecodable(file: str | io.BytesIO) -> str | None:
    """Why a picture's file cannot be decoded; its beginning alone tells nothing of one that was cut."""
    try:
        with Image.open(file) as opened:
            opened.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # PIL raises all of them
        return str(error).split(" <")[0]
    return None


def image_limit(config: DictConfig) -> int | None:
    """Most images of a prompt that vLLM takes; None without a limit of ours."""
    limit = OmegaConf.select(config, f"{_LIMIT}.image")
    count = limit.get("count") if isinstance(limit, DictConfig) else limit
    return count if isinstance(count, int) else None


def too_many(number: int, where: str, limit: int) -> Problem:
    """The problem of a row with more pictures than vLLM takes."""
    return Problem(
        f"{_LIMIT}.image",
        "too-many-images",
        f"{limit} is less than the {number} images of a row in {where}; vLLM refuses such rows, and the step trains "
        f"without them; use {number}, or leave those rows out",
    )
