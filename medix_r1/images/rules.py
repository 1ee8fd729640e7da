"""The rules for images, the record of an accepted image, and the error for a rejected one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from medix_r1.errors import DataError

Frames = Literal["reject", "first", "middle"]


class ImageReason(StrEnum):
    """Why an image is rejected."""

    CORRUPT_IMAGE = "corrupt_image"
    IMAGE_BOMB = "image_bomb"
    SEVERAL_FRAMES = "several_frames"


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
