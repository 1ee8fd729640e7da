"""Converts grey values of more than 8 bits to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from medix_r1.images.rules import ImageReason, ImageRejected


def to_eight_bits(
    values: np.ndarray[Any, Any], percentiles: tuple[float, float], within: np.ndarray[Any, Any] | None = None
) -> Image.Image:
    """Window grey values to 0..255 between two of their percentiles.

    Args:
        values: shape (height, width), of any numeric type.
        percentiles: (low, high), in [0, 100].
        within: booleans of the same shape: where values count for the percentiles. None: everywhere.

    Raises:
        ImageRejected: a percentile is not finite.
    """
    counted = values if within is None else values[within]
    low, high = (float(value) for value in np.percentile(counted, percentiles))
    if not np.isfinite((low, high)).all():
        raise ImageRejected(ImageReason.CORRUPT_IMAGE, "pixel values are not finite")
    if high <= low:  # nearly all background: use the whole range
        low, high = float(counted.min()), float(counted.max())
    return window(values, low, high)


def window(values: np.ndarray[Any, Any], low: float, high: float) -> Image.Image:
    """Map [`low`, `high`] linearly to 0..255 and clip the values outside."""
    scaled = (np.clip(values, low, high) - low) * (255.0 / ((high - low) or 1.0))
    return Image.fromarray(scaled.round().astype(np.uint8))
