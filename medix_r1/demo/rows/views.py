"""Makes the 96x96 views: augmentations of a source picture by crop, mirror, rotation, brightness and contrast.

Every view has its own random stream, seeded by source, question type, part and number. So adding a source or a question
changes no other view.
"""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass

from PIL import Image, ImageEnhance

from medix_r1.demo.rows.labels import ROTATION, Labels, Source

VIEW_SIDE = 96
SIDED_WORDS = frozenset({"left", "right"})


@dataclass(frozen=True, slots=True)
class View:
    """One view with its question and the fact that answers it."""

    picture: Image.Image
    question: str
    fact: str


def stream(*names: object) -> random.Random:
    """Return a random stream seeded by names; independent of Python's hash seed and of other streams."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def make_view(picture: Image.Image, source: Source, question_type: str, part: str, k: int, labels: Labels) -> View:
    """Make the k-th view of a source for a question type.

    Args:
        picture: the extracted source picture.
        source: its labels.
        question_type: of the question; for `rotation` a random fact is drawn and the view rotated by it.
        part: of the data set; views of different parts differ.
        k: number of the view.
        labels: the whole label file.
    """
    rng = stream("view", source.id, question_type, part, k)
    kind = labels.question_types[question_type]
    question = rng.choice(kind.questions)
    fact = rng.choice(sorted(labels.rotations)) if question_type == ROTATION else source.facts[question_type]
    view = _crop(picture, rng, source.min_crop)
    mirrored = rng.random() < 0.5  # always drawn, so that the stream does not depend on the answer's wording
    if mirrored and not is_sided(kind.facts[fact]):
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    view = view.rotate(rng.uniform(-8, 8), resample=Image.Resampling.BICUBIC)
    view = ImageEnhance.Brightness(view).enhance(rng.uniform(0.75, 1.25))
    view = ImageEnhance.Contrast(view).enhance(rng.uniform(0.8, 1.2))
    if question_type == ROTATION:
        view = view.rotate(labels.rotations[fact])
    return View(view.resize((VIEW_SIDE, VIEW_SIDE), Image.Resampling.BICUBIC), question, fact)


def is_sided(wordings: tuple[str, ...]) -> bool:
    """Whether an answer contains left or right, which mirroring would make wrong."""
    return any(SIDED_WORDS & set(wording.split()) for wording in wordings)


def to_png(picture: Image.Image) -> bytes:
    """Encode as PNG without metadata, at a fixed compression level, so that equal pixels give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _crop(picture: Image.Image, rng: random.Random, smallest: float) -> Image.Image:
    side = picture.width
    size = int(side * rng.uniform(smallest, 1.0))
    left, top = rng.randint(0, side - size), rng.randint(0, side - size)
    return picture.crop((left, top, left + size, top + size))
