"""What our runs change in verl's FSDP engine: the denominator of sequence means, and a vision tower that stays frozen.

Imported in every worker through `actor_rollout_ref.model.external_lib`; not by the plug-in, because
`verl.workers.engine` is slow to import and circular while verl itself is being imported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from verl.utils import tensordict_utils
from verl.utils.device import get_device_id
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from medix_r1 import gc_tuning
from medix_r1.errors import TrainingError
from medix_r1.training.preflight.memory import VISION_TOWERS
from medix_r1.training.verl_plugin import cpu

logger = logging.getLogger(__name__)


class MedixEngine(FSDPEngineWithLMHead):
    """verl's FSDP engine that divides by the sequences there are, and freezes what it is told to freeze."""

    def _build_module(self) -> nn.Module:
        gc_tuning.tune_for_training()  # a process that trains; whoever only imports this file may be one that scores
        module: nn.Module = super()._build_module()
        if self._vision_is_frozen():
            freeze_vision_tower(module)
        return module

    def _build_lora_module(self, module: nn.Module) -> nn.Module:
        module = super()._build_lora_module(module)
        if self._vision_is_frozen():
            freeze_vision_tower(module)  # adapters inside the tower too
        return module

    def _vision_is_frozen(self) -> bool:
        # verl hands an engine the model's part of the config only, so `actor.freeze_vision_tower` (which verl reads
        # nowhere) arrives by a key that verl itself reads for Megatron alone: configs/verl.yaml.
        return bool(self.model_config.lora.get("freeze_vision_model", False))

    def forward_backward_batch(self, data: Any, loss_function: Callable[..., Any], forward_only: bool = False) -> Any:
        """Run one mini-batch; its sequence means are means over the sequences that hold response tokens.

        verl divides by the configured size of a mini-batch. Masked rollouts are gone from the batch and rows of
        padding stand in their place, so the gradient of every sequence-mean loss (GSPO, SAPO, Dr. GRPO, RLOO) would
        shrink with the share of masked rows, while that of a token mean would not.
        """
        if not forward_only and "loss_mask" in data:
            tensordict_utils.assign_non_tensor(data, global_batch_size=self._sequences_with_loss(data["loss_mask"]))
        return super().forward_backward_batch(data, loss_function, forward_only)

    def _sequences_with_loss(self, loss_mask: torch.Tensor) -> int:
        count = torch.tensor(sum(int(row.any()) for row in loss_mask.unbind()), device=get_device_id())
        torch.distributed.all_reduce(count, group=self.get_data_parallel_group())
        return max(1, int(count.item()))  # nothing but padding on any rank: the loss is 0 and must not become NaN


def freeze_vision_tower(module: nn.Module) -> int:
    """Take every vision tower inside a model out of training; returns how many parameters that were.

    Raises:
        TrainingError: the model has no module of a known name.
    """
    towers = [child for name, child in module.named_modules() if name.rpartition(".")[2] in VISION_TOWERS]
    if not towers:
        raise TrainingError(
            f"actor_rollout_ref.actor.freeze_vision_tower: {type(module).__name__} has no module called "
            f"{', '.join(VISION_TOWERS)}; set it to false"
        )
    for tower in towers:
        tower.requires_grad_(False)
    frozen = sum(parameter.numel() for tower in towers for parameter in tower.parameters())
    logger.warning("the vision tower is frozen: %d parameters", frozen)
    return frozen


if cpu.is_active():
    pass
else:
    # verl holds its own engine under the device alone and looks for the device's vendor first.
    EngineRegistry.register(
        model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=["nvidia", "amd"]
    )(MedixEngine)
