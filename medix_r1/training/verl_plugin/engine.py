"""The FSDP engines of our runs: verl's, with two patches, and on a CPU a third.

Imported in every worker through `actor_rollout_ref.model.external_lib`; not by the plug-in, because
`verl.workers.engine` is slow to import and circular while verl itself is being imported.
"""

from __future__ import annotations

from torch import nn
from verl.workers.engine import EngineRegistry

from medix_r1 import gc_tuning
from medix_r1.training.verl_plugin import cpu
from medix_r1.training.verl_plugin.patches.frozen_vision_tower import FrozenVisionTower
from medix_r1.training.verl_plugin.patches.sequence_means import SequenceMeans


class MedixEngine(FrozenVisionTower, SequenceMeans):
    """verl's FSDP engine that divides by the sequences there are, and freezes what it is told to freeze."""

    def _build_module(self) -> nn.Module:
        gc_tuning.tune_for_training()  # a process that trains; whoever only imports this file may be one that scores
        return super()._build_module()


if cpu.is_active():
    from medix_r1.training.verl_plugin.cpu.offload import NoCpuOffload

    @EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")
    class CpuFsdpEngine(NoCpuOffload, MedixEngine):
        """Our FSDP2 engine for a machine without a GPU."""
else:
    # verl holds its own engine under the device alone and looks for the device's vendor first.
    EngineRegistry.register(
        model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=["nvidia", "amd"]
    )(MedixEngine)
