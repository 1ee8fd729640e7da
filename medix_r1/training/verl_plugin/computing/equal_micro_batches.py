"""Old log-probabilities are computed in the very micro-batches of the update.

verl computes them for a whole batch at once, with a token budget of their own, and updates by mini-batches. A kernel's
result depends on the shape of what it gets, so the same weights give a token two probabilities, and a ratio of new to
old that should be 1 is not. GSPO clips ratios of whole replies at 3e-4 (arXiv 2507.18071), below that noise in bf16.

The trainer says how many rows a mini-batch has and what the update's budget is; the engine takes the batch apart in the
same way, so that the first update of a step sees ratios of exactly 1. Not with `actor.shuffle`, which draws other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from verl.utils import tensordict_utils
from verl.utils.tensordict_utils import maybe_fix_3d_position_ids
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

ROWS = "medix_rows_of_an_update"  # key of the batch: rows of a mini-batch, over all ranks


@contextmanager
def asked_for(extra_info: dict[str, Any], actor: Any, group: int) -> Iterator[None]:
    """While a batch's log-probabilities are computed, say in its `extra_info` how the update takes it apart.

    Args:
        extra_info: what verl sends to the workers beside a batch.
        actor: the config of the actor.
        group: rollouts for each prompt.
    """
    said: dict[str, Any] = {}
    if not actor.shuffle:
        said = {ROWS: actor.ppo_mini_batch_size * group, "use_dynamic_bsz": actor.use_dynamic_bsz}
        if actor.use_dynamic_bsz:
            said["max_token_len_per_gpu"] = actor.ppo_max_token_len_per_gpu
        else:
            said["micro_batch_size_per_gpu"] = actor.ppo_micro_batch_size_per_gpu
    extra_info.update(said)
    try:
        yield
    finally:
        for key in said:
            extra_info.pop(key, None)


class UpdatesOwnMicroBatches(FSDPEngineWithLMHead):
    """verl's FSDP engine, which computes log-probabilities mini-batch by mini-batch when it is asked to."""

    def forward_backward_batch(self, data: Any, loss_function: Callable[..., Any], forward_only: bool = False) -> Any:
        """Run one batch; forward only, in parts of `ROWS` rows if the batch says so."""
        rows = tensordict_utils.get_non_tensor_data(data, key=ROWS, default=0) // self.get_data_parallel_size()
        if not forward_only or not rows or len(data) <= rows or len(data) % rows:
            return super().forward_backward_batch(data, loss_function, forward_only)
        parts = tensordict_utils.make_iterator(data, mini_batch_size=rows, epochs=1)
        return _joined([self._forward(part, loss_function) for part in parts])

    def _forward(self, part: Any, loss_function: Callable[..., Any]) -> Any:
        maybe_fix_3d_position_ids(part)
        return super().forward_backward_batch(part, loss_function, forward_only=True)


def _joined(outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """What verl's `postprocess_batch_func` makes of a batch, from that of its parts."""
    names = outputs[0]["model_output"]
    rows = {name: [row for output in outputs for row in output["model_output"][name].unbind()] for name in names}
    metrics: dict[str, list[Any]] = {}
    for output in outputs:
        for name, values in output["metrics"].items():
            metrics.setdefault(name, []).extend(values)
    return {
        "model_output": {
            name: torch.nested.as_nested_tensor(found, layout=torch.jagged) for name, found in rows.items()
        },
        "loss": [loss for output in outputs for loss in output["loss"]],
        "metrics": metrics,
    }
