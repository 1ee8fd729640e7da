"""A prompt on its way to the agent loop holds the files of its pictures, and no pixels.

Upstream: verl 0.9.1's data set puts a PIL image beside the bytes of the file that it reads. PIL decodes it when the row
is pickled, so a loader worker, the driver and the agent loop each hold and move three bytes a pixel, once in `prompt`
and once in `raw_prompt`.

See it: docs/upstream/picture_files.py

Here: rows leave the data set with the bytes alone, in `raw_prompt` alone; the agent loop opens them.

Goes when: the script says that a row is no larger than its file.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from PIL import Image
from verl.utils.dataset.rl_dataset import RLHFDataset

from medix_r1.training.verl_plugin.patches.replacing import replace_once


def install() -> None:
    """Wrap `RLHFDataset.__getitem__`; a second call does nothing."""
    replace_once(RLHFDataset, "__getitem__", _files_alone)


def _files_alone(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def getitem(self: Any, item: Any) -> dict[str, Any]:
        row: dict[str, Any] = original(self, item)
        for part in _with_files(row["raw_prompt"]):
            del part["image"]
        if row.get(self.prompt_key) is row["raw_prompt"]:
            del row[self.prompt_key]
        return row

    return getitem


def opened(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A copy of a chat whose pictures are PIL images again, as verl's data set made them."""
    return [{**message, "content": _opened(message["content"])} for message in messages]


def _opened(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [{**part, "image": Image.open(io.BytesIO(part["bytes"]))} if _is_file(part) else part for part in content]


def _with_files(messages: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        if isinstance(message["content"], list):
            yield from (part for part in message["content"] if _is_file(part) and "image" in part)


def _is_file(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "image" and part.get("bytes") is not None
