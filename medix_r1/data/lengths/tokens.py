"""The exact prompt length of a row, in tokens, without decoding an image or importing torch.

verl compares `data.max_prompt_length` with the result of chat template, tokenizer and two resizing steps: qwen-vl-utils
scales each image to whole merge blocks, then the backbone's image processor does so again within its own limits. Both
steps are arithmetic on (width, height); tests compare them with the real ones.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from medix_r1.data.lengths.chat_template import ChatTemplate, read_object, user_message
from medix_r1.data.row import PromptLength, Reason, RowRejected
from medix_r1.errors import ConfigError
from medix_r1.model_names import is_hub_name

MAX_RATIO = 200  # aspect ratio above which both steps refuse an image
_LOADER_MIN_BLOCKS, _LOADER_MAX_BLOCKS = 4, 16384  # qwen_vl_utils: IMAGE_MIN_TOKEN_NUM, IMAGE_MAX_TOKEN_NUM
_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.*", "*processor_config.json", "config.json")
_VISION_CLASSES = ("Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast", "Qwen3VLImageProcessor")


@dataclass(frozen=True, slots=True)
class ResizeRule:
    """How Qwen2.5-VL (patch 14) and Qwen3-VL (patch 16) turn an image into tokens.

    Attributes:
        patch_size: side of a patch, in pixels.
        merge_size: side of a merge block, in patches; one block is one token.
        processor_min_pixels, processor_max_pixels: limits of width x height in the image processor.
        loader_min_pixels, loader_max_pixels: limits in qwen-vl-utils; None is its default.
    """

    patch_size: int
    merge_size: int
    processor_min_pixels: int
    processor_max_pixels: int
    loader_min_pixels: int | None = None
    loader_max_pixels: int | None = None

    def tokens(self, width: int, height: int) -> int:
        """Number of image tokens of an image of `width` x `height` pixels.

        Raises:
            RowRejected: its aspect ratio is above 200, before or between the two steps.
        """
        block = self.patch_size * self.merge_size
        width, height = self._load(width, height, block)
        width, height = self._process(width, height, block)
        return (width // block) * (height // block)

    def _load(self, width: int, height: int, block: int) -> tuple[int, int]:
        low = self.loader_min_pixels or _LOADER_MIN_BLOCKS * block**2
        high = self.loader_max_pixels or _LOADER_MAX_BLOCKS * block**2
        _check_ratio(width, height)
        rounded = max(block, round(width / block) * block), max(block, round(height / block) * block)
        return _within(width, height, rounded, block, low, high, smallest=0)

    def _process(self, width: int, height: int, block: int) -> tuple[int, int]:
        _check_ratio(width, height)
        rounded = round(width / block) * block, round(height / block) * block
        low, high = self.processor_min_pixels, self.processor_max_pixels
        return _within(width, height, rounded, block, low, high, smallest=block)


def _check_ratio(width: int, height: int) -> None:
    if max(width, height) / min(width, height) > MAX_RATIO:
        raise RowRejected(Reason.ASPECT_RATIO, f"{width}x{height} is more elongated than {MAX_RATIO} to 1")


def _within(
    width: int, height: int, rounded: tuple[int, int], block: int, low: int, high: int, smallest: int
) -> tuple[int, int]:
    """Scale to whole blocks with `low` to `high` pixels, keeping the aspect ratio."""
    pixels = rounded[0] * rounded[1]
    if pixels > high:
        shrink = math.sqrt((height * width) / high)
        sides = (max(smallest, math.floor(side / shrink / block) * block) for side in (width, height))
    elif pixels < low:
        grow = math.sqrt(low / (height * width))
        sides = (math.ceil(side * grow / block) * block for side in (width, height))
    else:
        return rounded
    new_width, new_height = sides
    if min(new_width, new_height) == 0:  # without a lower limit the loader's image would have no pixels
        raise RowRejected(Reason.ASPECT_RATIO, f"{width}x{height} cannot be scaled to {high} pixels")
    return new_width, new_height


class PromptCounter:
    """Measures prompts with a backbone's tokenizer, chat template and resize rule."""

    def __init__(self, folder: Path, min_pixels: int | None = None, max_pixels: int | None = None) -> None:
        """Read a model folder; its weights are not needed.

        Args:
            folder: with tokenizer.json, a chat template and the image processor's config.
            min_pixels: lower limit that verl's image loader gets with each image; None is its default.
            max_pixels: upper limit that verl's image loader gets with each image; None is its default.

        Raises:
            ConfigError: a file is missing, or the image processor's resize rule is not known here.
        """
        self._chat = ChatTemplate(folder)
        self._image_token = _image_token(folder, self._chat.tokenizer)
        self.rule = _resize_rule(folder, min_pixels, max_pixels)
        tokens = self._chat.tokenizer.get_added_tokens_decoder().values()
        self.control_tokens = tuple(token.content for token in tokens if token.special or "|" in token.content)

    def text_tokens(self, prompt: str, num_images: int) -> int:
        """Tokens of the prompt without the images and their placeholders.

        Raises:
            ConfigError: the chat template fails, or does not give each image one placeholder.
        """
        return self.chat_tokens([user_message(prompt, num_images)], num_images)

    def chat_tokens(self, messages: Sequence[Mapping[str, Any]], num_images: int) -> int:
        """The same of a whole chat, whose images are parts of its messages.

        Raises:
            ConfigError: as `text_tokens`.
        """
        ids = self._chat.encode(self._chat.render(messages))
        if (seen := ids.count(self._image_token)) != num_images:
            raise ConfigError.of(
                "backbone",
                "chat-template-placeholders",
                f"its chat template shows {num_images} image(s) as {seen} placeholder(s)",
            )
        return len(ids) - num_images

    def length(self, prompt: str, sizes: Sequence[tuple[int, int]]) -> PromptLength:
        """Measure one prompt.

        Args:
            prompt: the user message with one `<image>` for each image.
            sizes: (width, height) of each image in pixels.
        """
        return PromptLength(
            text=self.text_tokens(prompt, len(sizes)), image=sum(self.rule.tokens(*size) for size in sizes)
        )


def backbone_folder(name: str) -> Path:
    """A local model folder, or one in the hub's cache with the downloaded small files of a hub model (`owner/name`).

    Raises:
        ConfigError: there is neither.
    """
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    if not is_hub_name(name):
        raise ConfigError.of("backbone", "no-such-file", f"{name} does not exist")
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except (HTTPError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError.of(
            "backbone",
            "not-on-the-hub",
            f"{name} is no folder here and the hub does not give it ({reason}); without the hub, give the model's "
            "folder: backbone=FOLDER (tokenizer and configs are enough)",
        ) from error


def fingerprint(folder: Path) -> str:
    """Fingerprint of every file that a prompt's length depends on: 16 hex digits of a SHA-256."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.glob(pattern)}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _image_token(folder: Path, tokenizer: Tokenizer) -> int:
    number = read_object(folder / "config.json").get("image_token_id")
    number = number if isinstance(number, int) else tokenizer.token_to_id("<|image_pad|>")
    if number is None:
        raise ConfigError.of(
            "backbone", "no-image-token", f"{folder} has no image token; a vision-language model is needed"
        )
    return int(number)


def _resize_rule(folder: Path, min_pixels: int | None, max_pixels: int | None) -> ResizeRule:
    processor = read_object(folder / "processor_config.json").get("image_processor") or read_object(
        folder / "preprocessor_config.json"
    )
    kind = processor.get("image_processor_type", "")
    if kind not in _VISION_CLASSES:
        raise ConfigError.of(
            "backbone",
            "unknown-resize-rule",
            f"the resize rule of {kind or 'an image processor without a name'} is not known; "
            f"known: {', '.join(_VISION_CLASSES)}",
        )
    size = processor.get("size") or {}
    low = processor.get("min_pixels") or size.get("shortest_edge") or size.get("min_pixels")
    high = processor.get("max_pixels") or size.get("longest_edge") or size.get("max_pixels")
    return ResizeRule(
        patch_size=processor.get("patch_size", 14),
        merge_size=processor.get("merge_size", 2),
        processor_min_pixels=low or 56 * 56,
        processor_max_pixels=high or 28 * 28 * 1280,
        loader_min_pixels=min_pixels,
        loader_max_pixels=max_pixels,
    )
