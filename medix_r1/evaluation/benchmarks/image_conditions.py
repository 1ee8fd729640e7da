"""The pictures of a task taken away, to see whether the model looks: a grey one, another row's, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from medix_r1.evaluation.benchmarks.items import Image, Item, TaskData
from medix_r1.images.decode import read_image
from medix_r1.images.stand_ins import grey_picture, other_of_each, size_of

CONDITIONS = ("real", "blank", "shuffled", "none")


def with_images(data: TaskData, condition: str) -> TaskData | None:
    """The task with its pictures as `condition` has them; None for a task without pictures, except with `real`.

    Rows without a picture are left out, too: nothing changes for them, so they would hide what does. Samples keep
    their ids and groups, so that results can be compared sample by sample. Shuffled, each picture becomes the same
    other one of the task wherever it stands.

    Raises:
        DataError: there is one picture only, so that none can stand in for it.
    """
    if condition == "real":
        return data
    if not any(item.images for item in data.items):
        return None
    change = _CHANGES[condition](data)
    items = tuple(replace(item, images=change(item)) for item in data.items if item.images)
    return replace(data, items=items, total=data.total - len(data.items) + len(items))


def _blank(data: TaskData) -> Callable[[Item], tuple[Image, ...]]:
    return lambda item: tuple(replace(image, read=partial(_grey, image)) for image in item.images)


def _grey(image: Image) -> bytes:
    """A grey picture of the same size."""
    return grey_picture(size_of(read_image(image.read(), image.rules).content))


def _shuffled(data: TaskData) -> Callable[[Item], tuple[Image, ...]]:
    by_key = {image.key: image for item in data.items for image in item.images}
    other = other_of_each(by_key, data.task.name)
    return lambda item: tuple(replace(by_key[other[image.key]], number=image.number) for image in item.images)


def _none(data: TaskData) -> Callable[[Item], tuple[Image, ...]]:
    return lambda item: ()


_CHANGES = {"blank": _blank, "shuffled": _shuffled, "none": _none}
