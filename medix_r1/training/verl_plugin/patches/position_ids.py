"""Position ids of shape (4, L) keep their ragged dimension when all sequences of a batch have one length.

Upstream: TransferQueue 0.1.11 packs one tensor a sample into a jagged nested tensor. Qwen-VL's position ids have the
shape (4, L). When all L of a batch are equal, torch takes dimension 1 for the ragged one, while verl 0.9.1
(`verl.utils.tensordict_utils.maybe_fix_3d_position_ids`) declares dimension 2 without moving the data, and the update
fails in `unbind`. It happens on GPUs too, whenever all sequences handed to one rank have the same length.

See it: docs/upstream/position_ids.py

Here: what verl reads out of TransferQueue is rebuilt with dimension 2 ragged, where it came with dimension 1.

Goes when: the script says that the batch can be taken apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import verl.utils.transferqueue_utils as transferqueue_utils

from medix_r1.training.verl_plugin.patches.replacing import replace_once


def restore_ragged_dimension(data: Any) -> Any:
    """Rebuild `position_ids` of shape (batch, 4, L*) with dimension 2 ragged; leave everything else as it is."""
    if data is None or "position_ids" not in getattr(data, "keys", tuple)():
        return data
    positions = data["position_ids"]
    if not (positions.is_nested and positions.dim() == 3 and getattr(positions, "_ragged_idx", 2) == 1):
        return data
    from verl.utils.tensordict_utils import nested_tensor_from_tensor_list

    rows = int(positions.offsets()[1])  # 4 for Qwen-VL
    per_sample = positions.values().reshape(positions.size(0), rows, -1)
    data["position_ids"] = nested_tensor_from_tensor_list(list(per_sample.unbind(0)), ragged_idx=2)
    return data


def install() -> None:
    """Wrap `verl.utils.transferqueue_utils._async_meta_to_realdata`; a second call does nothing."""

    def mended(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def read(meta: Any) -> Any:
            return restore_ragged_dimension(await original(meta))

        return read

    replace_once(transferqueue_utils, "_async_meta_to_realdata", mended)
