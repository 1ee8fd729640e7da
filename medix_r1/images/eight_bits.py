"""Deep grey values as 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from medix_r1.images.rules import ImageReason, ImageRejected


def to_eight_bits(values: np.ndarray[Any, Any], percentiles: tuple[float, float]) -> Image.Image:
    """Window deep grey values to 0..255 between two percentiles of the picture itself.

    Raises:
        ImageRejected: a value is not finite.
    """
    low, high = (float(value) for value in np.percentile(values, percentiles))
    if not np.isfinite((low, high)).all():
        raise ImageRejected(ImageReason.CORRUPT_IMAGE, "pixel values are not finite")
    if high <= low:  # hardly anything but background: use the whole range
        low, high = float(values.min()), float(values.max())
    return window(values, low, high)


def window(values: np.ndarray[Any, Any], low: float, high: float) -> Image.Image:
    """Map `low` to 0 and `high` to 255, and clip what lies outside."""
    scaled = (np.clip(values, low, high) - low) * (255.0 / ((high - low) or 1.0))
    return Image.fromarray(scaled.round().astype(np.uint8))
