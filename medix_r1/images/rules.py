"""The rules for images, the record of an accepted image, and the error for a rejected one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args

from medix_r1.errors import DataError, Problem

Frames = Literal["reject", "first", "middle"]
_MOST_MEBIBYTES = 100_000
_MOST_MEGAPIXELS = 178  # Pillow refuses more


class ImageReason(StrEnum):
    """Why an image is rejected."""

    CORRUPT_IMAGE = "corrupt_image"
    IMAGE_BOMB = "image_bomb"
    SEVERAL_FRAMES = "several_frames"
    UNSUPPORTED_IMAGE = "unsupported_image"


class ImageRejected(DataError):
    """An image cannot be used; `detail` says what to fix."""

    def __init__(self, reason: ImageReason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason.value}: {detail}", code=reason.value)

    def __reduce__(self) -> tuple[type[ImageRejected], tuple[ImageReason, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class ImageRules:
    """Limits and conversion settings: the keys under `image` in configs/prepare/prepare.yaml.

    Attributes:
        max_megapixels: limit of width · height, in 10^6 pixels.
        max_mebibytes: limit of the file, in 2^20 bytes.
        frames: what to do with several frames: `reject`, or take the `first` or `middle` one.
        percentiles: (low, high) of the window for more than 8 bits, in [0, 100].
        dicom_window: (centre, width) for DICOM instead of the file's own; None takes the file's.
    """

    max_megapixels: float = 100.0
    max_mebibytes: float = 256.0
    frames: Frames = "reject"
    percentiles: tuple[float, float] = (0.5, 99.5)
    dicom_window: tuple[float, float] | None = None


def rules_of(node: Mapping[str, Any]) -> ImageRules:
    """The rules of an `image` node whose values `rule_problems` finds right; other keys of it are ignored."""
    chosen = {name: node[name] for name in ImageRules.__slots__ if name in node}
    pairs = {name: tuple(chosen[name]) for name in ("percentiles", "dicom_window") if chosen.get(name)}
    return ImageRules(**{**chosen, **pairs})


def rule_problems(node: Mapping[str, Any], prefix: str) -> Iterator[Problem]:
    """What is wrong with the values of an `image` node, whose keys are below `prefix`."""
    yield from limit_problems(node, prefix)
    yield from window_problems(node, prefix)


def limit_problems(node: Mapping[str, Any], prefix: str) -> Iterator[Problem]:
    """What is wrong with frames and largest sizes."""
    if node.get("frames", "reject") not in get_args(Frames):
        known = ", ".join(get_args(Frames))
        yield Problem(f"{prefix}frames", "not-a-choice", f"{node['frames']!r} is none of {known}")
    for key, most in (("max_megapixels", _MOST_MEGAPIXELS), ("max_mebibytes", _MOST_MEBIBYTES)):
        if key in node and (not _is_number(node[key]) or not 0 < node[key] <= most):
            yield Problem(f"{prefix}{key}", "out-of-range", f"{node[key]!r} is not a number above 0 and up to {most}")


def window_problems(node: Mapping[str, Any], prefix: str) -> Iterator[Problem]:
    """What is wrong with percentiles and window."""
    for key in ("percentiles", "dicom_window"):
        value = node.get(key)
        if value is None and (key not in node or key == "dicom_window"):
            continue
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_number, value)):
            yield Problem(f"{prefix}{key}", "not-two-numbers", f"{value!r} is not a list of two numbers")
        elif key == "percentiles" and list(value) != sorted(value):
            yield Problem(f"{prefix}{key}", "not-in-order", f"{value} are not in order")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An accepted image: 8 bits a channel, no transparency, upright, one frame."""

    content: bytes
    width: int
    height: int
    format: str  # PNG, JPEG or WEBP
    sha256: str  # of the original bytes, to find the same file in a test set
    phash: int  # 64-bit perceptual hash
    converted: str  # what was converted, joined by +; empty if `content` has the original bytes
    facts: tuple[str, ...] = ()  # of a DICOM header: lossy, derived, burned_in
    shrunk: bool = False


def check_size(width: int, height: int, rules: ImageRules) -> None:
    """Raise `ImageRejected` for an image that is too large by its header, before it is decoded."""
    if width * height > rules.max_megapixels * 1e6:
        raise ImageRejected(
            ImageReason.IMAGE_BOMB, f"{width}x{height} pixels; image.max_megapixels is {rules.max_megapixels:g}"
        )


def frame_number(count: int, rules: ImageRules) -> int:
    """Index of the frame to use, of `count` frames.

    Raises:
        ImageRejected: there are several frames, and `frames` is `reject`.
    """
    if count > 1 and rules.frames == "reject":
        raise ImageRejected(
            ImageReason.SEVERAL_FRAMES, f"{count} frames; split them, or set image.frames to first or middle"
        )
    return count // 2 if rules.frames == "middle" else 0
