"""What a picture may be, what becomes of one that is taken, and the error for one that is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from medix_r1.errors import DataError

Frames = Literal["reject", "first", "middle"]


class ImageReason(StrEnum):
    """Why a picture is not taken."""

    CORRUPT_IMAGE = "corrupt_image"
    IMAGE_BOMB = "image_bomb"
    SEVERAL_FRAMES = "several_frames"


class ImageRejected(DataError):
    """This picture cannot be used; the detail says what to mend."""

    def __init__(self, reason: ImageReason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason.value}: {detail}", code=reason.value)

    def __reduce__(self) -> tuple[type[ImageRejected], tuple[ImageReason, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class ImageRules:
    """What is accepted and how it is converted; the lines under `image:` in configs/prepare/prepare.yaml."""

    max_megapixels: float = 100.0
    max_mebibytes: float = 256.0
    frames: Frames = "reject"
    percentiles: tuple[float, float] = (0.5, 99.5)
    dicom_window: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that every later reader can open: 8 bits a channel, no transparency, upright, one frame."""

    content: bytes
    width: int
    height: int
    format: str  # PNG, JPEG or WEBP
    sha256: str  # of the bytes as they were found, so that they can be found again in a test set
    phash: int  # 64-bit perceptual hash
    converted: str  # what had to be changed; empty: `content` is what was found
    shrunk: bool = False


def check_size(width: int, height: int, rules: ImageRules) -> None:
    """Refuse a picture by its header, before anything is unpacked."""
    if width * height > rules.max_megapixels * 1e6:
        raise ImageRejected(
            ImageReason.IMAGE_BOMB, f"{width}x{height} pixels; image.max_megapixels is {rules.max_megapixels:g}"
        )


def frame_number(count: int, rules: ImageRules) -> int:
    """Which frame of several is taken.

    Raises:
        ImageRejected: there are several and `image.frames` is `reject`.
    """
    if count > 1 and rules.frames == "reject":
        raise ImageRejected(
            ImageReason.SEVERAL_FRAMES, f"{count} frames; split them, or set image.frames to first or middle"
        )
    return count // 2 if rules.frames == "middle" else 0
