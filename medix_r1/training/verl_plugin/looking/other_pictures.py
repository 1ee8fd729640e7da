"""Validation rows with other pictures: each another row's, or a grey one.

A stand-in has the size of the picture in whose place it stands, so that a prompt keeps its length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from torch.utils.data import Dataset

from medix_r1.errors import DataError
from medix_r1.images.asked_again import Identity, asked_again, identity
from medix_r1.images.stand_ins import grey_picture, other_of_each, resized, size_of
from medix_r1.training.verl_plugin.reward_manager import encoded_image, encoded_images

Kind = Literal["shuffled", "blank"]
Place = tuple[int, int]  # a row, and the number of the picture in it


class Rows(Protocol):
    """A data set of verl: rows with their chat in `raw_prompt`."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: int, /) -> dict[str, Any]: ...


class RowsWithPictures:
    """The rows that are asked again: a share of those that show a picture, the same ones at every validation.

    Rows that share source, row id and reference cannot be told apart among scored rollouts, so they are left out.

    Args:
        rows: the validation rows. Each is read once here.
        share: in (0, 1].

    Raises:
        DataError: no row shows a picture.
    """

    def __init__(self, rows: Rows, share: float) -> None:
        self._rows = rows
        shown: dict[int, tuple[str, ...]] = {}  # row → keys of its pictures
        identities: dict[int, Identity] = {}
        for number in range(len(rows)):
            row = rows[number]
            if pictures := encoded_images(row["raw_prompt"]):
                shown[number], identities[number] = tuple(map(_key, pictures)), identity(row)
        self.numbers = asked_again(identities, share)
        if not self.numbers:
            raise DataError("no row of data.val_files shows a picture, or no two can be told apart", code="no-pictures")
        self._places: dict[str, Place] = {
            key: (number, place) for number in self.numbers for place, key in enumerate(shown[number])
        }

    def with_others(self, kind: Kind) -> OtherPictures:
        """The rows with other pictures.

        Raises:
            DataError: the pictures are all the same, so that none can stand in for another.
        """
        if kind == "blank":
            return OtherPictures(self._rows, self.numbers, None)
        stand_ins = other_of_each(self._places, "the share of data.val_files that is asked again")
        return OtherPictures(self._rows, self.numbers, {key: self._places[other] for key, other in stand_ins.items()})


class OtherPictures(Dataset[dict[str, Any]]):
    """Some rows of a data set, with other pictures.

    Args:
        rows: the data set.
        numbers: which rows.
        others: key of a picture → where the one is that stands in for it; None puts grey ones in their places.
    """

    def __init__(self, rows: Rows, numbers: Sequence[int], others: Mapping[str, Place] | None) -> None:
        self._rows, self._numbers, self._others = rows, numbers, others

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, item: int) -> dict[str, Any]:
        row = dict(self._rows[self._numbers[item]])
        row["raw_prompt"] = [{**message, "content": self._changed(message["content"])} for message in row["raw_prompt"]]
        return row

    def _changed(self, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        return [self._other(part) if part.get("type") == "image" else part for part in content]

    def _other(self, part: Mapping[str, Any]) -> dict[str, Any]:
        content = encoded_image(part)
        rest = {name: value for name, value in part.items() if name not in ("image", "path", "bytes")}
        return {**rest, "bytes": self._stand_in(content)}

    def _stand_in(self, content: bytes) -> bytes:
        size = size_of(content)
        if self._others is None:
            return grey_picture(size)
        row, number = self._others[_key(content)]
        return resized(encoded_images(self._rows[row]["raw_prompt"])[number], size)


def _key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
