"""Shrinks the images of an over-long row, all by the same factor, until its prompt fits."""

from __future__ import annotations

from collections.abc import Sequence

from medix_r1.data.lengths.tokens import MAX_RATIO, ResizeRule
from medix_r1.data.row import Reason, RowRejected
from medix_r1.images.decode import resized
from medix_r1.images.rules import PreparedImage

_STEPS = 24  # of bisecting the scale, to far below one pixel


def shrink_to_fit(images: Sequence[PreparedImage], rule: ResizeRule, budget: int) -> tuple[PreparedImage, ...]:
    """Resize images so that together they take at most `budget` tokens.

    Raises:
        RowRejected: even the smallest images take more.
    """
    sizes = fitting_sizes([(image.width, image.height) for image in images], rule, budget)
    return tuple(
        image if size == (image.width, image.height) else resized(image, *size)
        for image, size in zip(images, sizes, strict=True)
    )


def fitting_sizes(sizes: Sequence[tuple[int, int]], rule: ResizeRule, budget: int) -> list[tuple[int, int]]:
    """The largest (width, height) of each image, all scaled by one factor up to 1, that take at most `budget` tokens.

    Raises:
        RowRejected: even the smallest images take more.
    """
    low, high = 0.0, 1.0
    if _tokens(sizes, low, rule) > budget:
        smallest = _tokens(sizes, low, rule)
        raise RowRejected(Reason.TOO_LONG, f"{budget} tokens are left for the images, which take at least {smallest}")
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _tokens(sizes, middle, rule) <= budget else (low, middle)
    return _scaled(sizes, low)


def _scaled(sizes: Sequence[tuple[int, int]], scale: float) -> list[tuple[int, int]]:
    return [_scaled_one(width, height, scale) for width, height in sizes]


def _scaled_one(width: int, height: int, scale: float) -> tuple[int, int]:
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    longest = MAX_RATIO * min(width, height)  # rounding the short side down may exceed the aspect ratio
    return min(width, longest), min(height, longest)


def _tokens(sizes: Sequence[tuple[int, int]], scale: float, rule: ResizeRule) -> int:
    return sum(rule.tokens(*size) for size in _scaled(sizes, scale))
