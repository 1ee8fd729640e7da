"""Pictures that stand in for real ones, to see whether a model looks: a grey one, or another one of the same set."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable

from PIL import Image

from medix_r1.errors import DataError

_GREY = (128, 128, 128)


def grey_picture(size: tuple[int, int]) -> bytes:
    """A grey picture of (width, height) pixels, as a PNG file."""
    return _png(Image.new("RGB", size, _GREY))


def resized(content: bytes, size: tuple[int, int]) -> bytes:
    """A picture's file at (width, height) pixels, as a PNG file; a prompt that shows it keeps its number of tokens."""
    with Image.open(io.BytesIO(content)) as opened:
        return _png(opened.convert("RGB").resize(size, Image.Resampling.BICUBIC))


def size_of(content: bytes) -> tuple[int, int]:
    """(width, height) of a picture's file."""
    with Image.open(io.BytesIO(content)) as opened:
        return opened.size


def other_of_each(keys: Iterable[str], of: str) -> dict[str, str]:
    """Key of each picture → key of the one that stands in for it, never its own; the same for the same keys.

    Args:
        keys: of the pictures; equal ones count once.
        of: what they belong to, for the error.

    Raises:
        DataError: there are fewer than two pictures, so that none can stand in.
    """
    order = sorted(set(keys), key=lambda key: hashlib.sha256(key.encode()).digest())
    if len(order) < 2:
        raise DataError(f"{of} has one picture only, which none can stand in for", code="nothing-to-shuffle")
    return dict(zip(order, [*order[1:], order[0]], strict=True))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
