"""The vision tower is frozen when `actor.freeze_vision_tower` says so.

Upstream: verl 0.9.1 has the key `actor_rollout_ref.actor.freeze_vision_tower` and reads it nowhere, so the tower is
trained whatever it says. An engine gets the model's part of the config only, not the actor's.

See it: docs/upstream/freeze_vision_tower.py

Here: configs/verl.yaml carries the value over to `model.lora.freeze_vision_model`, which verl itself reads for Megatron
alone, and the engine freezes the tower's parameters, those of adapters inside it too.

Goes when: the script finds a place in verl that reads the key for FSDP.
"""

from __future__ import annotations

import logging

from torch import nn
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from medix_r1.errors import TrainingError
from medix_r1.model_names import VISION_TOWERS

logger = logging.getLogger(__name__)


class FrozenVisionTower(FSDPEngineWithLMHead):
    """verl's FSDP engine, freezing the vision tower when `actor.freeze_vision_tower` says so."""

    def _build_module(self) -> nn.Module:
        return self._with_frozen_tower(super()._build_module())

    def _build_lora_module(self, module: nn.Module) -> nn.Module:
        return self._with_frozen_tower(super()._build_lora_module(module))

    def _with_frozen_tower(self, module: nn.Module) -> nn.Module:
        if self.model_config.lora.get("freeze_vision_model", False):
            freeze_vision_tower(module)
        return module


def freeze_vision_tower(module: nn.Module) -> int:
    """Freeze every vision tower inside a model; returns the number of frozen parameters.

    Raises:
        TrainingError: the model has no module of a known name.
    """
    towers = [child for name, child in module.named_modules() if name.rpartition(".")[2] in VISION_TOWERS]
    if not towers:
        raise TrainingError(
            f"actor_rollout_ref.actor.freeze_vision_tower: {type(module).__name__} has no module called "
            f"{', '.join(VISION_TOWERS)}; set it to false",
            code="no-vision-tower",
        )
    for tower in towers:
        tower.requires_grad_(False)
    frozen = sum(parameter.numel() for tower in towers for parameter in tower.parameters())
    logger.warning("the vision tower is frozen: %d parameters", frozen)
    return frozen
