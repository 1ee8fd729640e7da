"""One case: a reference and an answer, and what is known of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from tools.rewordings.templates import Form

Label = Literal["right", "several", "wrong"]
T = TypeVar("T")

PER_KIND = 120  # of each kind of rewording or attack, in both forms together where there are two


@dataclass(frozen=True, slots=True)
class Case:
    """An answer to a question whose right answer is the reference.

    Attributes:
        kind: how it was made.
        n: the number of things offered: 1 for a right answer and for a single wrong one.
        label: `right`, `several` things of which the reference is one, or a single `wrong` one.
        what: what is asked for: named, grade, quantity, side, level, list, ...
        form: whether everybody may read the form that it was made with.
    """

    kind: str
    reference: str
    answer: str
    n: int
    label: Label
    what: str
    form: Form


def some(items: Sequence[T], salt: object) -> Sequence[T]:
    """As many as one kind may need, drawn by a seed; all where there are fewer."""
    return items if len(items) <= PER_KIND else random.Random(str(salt)).sample(items, PER_KIND)
