"""Makes the 96x96 views: each is a crop, mirror, small turn and change of light of a source picture.

Every view draws from its own random stream, named by what it is a view of. Adding a source or a question therefore
changes no other view.
"""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass

from PIL import Image, ImageEnhance

from medix_r1.demo.labels import ROTATION, Labels, Source

VIEW_SIDE = 96
SIDED_WORDS = frozenset({"left", "right"})


@dataclass(frozen=True, slots=True)
class View:
    """One view with the question asked of it and the fact that answers it."""

    picture: Image.Image
    question: str
    fact: str


def stream(*names: object) -> random.Random:
    """Return the random stream of a name; independent of Python's hash seed and of any other stream."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def make_view(picture: Image.Image, source: Source, question_type: str, part: str, k: int, labels: Labels) -> View:
    """Make the k-th view of a source for a question type.

    Args:
        picture: the extracted source picture.
        source: its labels.
        question_type: what is asked; the rotation question turns the view by the fact it draws.
        part: the part of the data set the view is for; views of different parts differ.
        k: number of the view.
        labels: the whole label file.
    """
    rng = stream("view", source.id, question_type, part, k)
    kind = labels.question_types[question_type]
    question = rng.choice(kind.questions)
    fact = rng.choice(sorted(labels.rotations)) if question_type == ROTATION else source.facts[question_type]
    view = _crop(picture, rng, source.min_crop)
    mirrored = rng.random() < 0.5  # drawn always, so that the stream does not depend on the label's wording
    if mirrored and not is_sided(kind.facts[fact]):
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    view = view.rotate(rng.uniform(-8, 8), resample=Image.Resampling.BICUBIC)
    view = ImageEnhance.Brightness(view).enhance(rng.uniform(0.75, 1.25))
    view = ImageEnhance.Contrast(view).enhance(rng.uniform(0.8, 1.2))
    if question_type == ROTATION:
        view = view.rotate(labels.rotations[fact])
    return View(view.resize((VIEW_SIDE, VIEW_SIDE), Image.Resampling.BICUBIC), question, fact)


def is_sided(wordings: tuple[str, ...]) -> bool:
    """Whether an answer speaks of left or right, which a mirrored picture would make false."""
    return any(SIDED_WORDS & set(wording.split()) for wording in wordings)


def to_png(picture: Image.Image) -> bytes:
    """Encode without metadata and at a fixed level, so that the same pixels give the same bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _crop(picture: Image.Image, rng: random.Random, smallest: float) -> Image.Image:
    side = picture.width
    size = int(side * rng.uniform(smallest, 1.0))
    left, top = rng.randint(0, side - size), rng.randint(0, side - size)
    return picture.crop((left, top, left + size, top + size))
