"""Our FSDP engine: verl's with patches, each in a file of its own, and one more on CPUs; an attention of torch's own.

Workers import it through `actor_rollout_ref.model.external_lib`. plugin.py does not, because importing
`verl.workers.engine` is slow, and circular while verl itself is being imported.
"""

from __future__ import annotations

from torch import nn
from verl.workers.engine import EngineRegistry

from medix_r1.host import gc_tuning
from medix_r1.training.verl_plugin import cpu
from medix_r1.training.verl_plugin.computing import varlen_attention
from medix_r1.training.verl_plugin.computing.equal_micro_batches import UpdatesOwnMicroBatches
from medix_r1.training.verl_plugin.computing.router_replay import ReplaysRoutes
from medix_r1.training.verl_plugin.looking.asking import AsksToLook
from medix_r1.training.verl_plugin.patches import chunked_log_probs, text_rows
from medix_r1.training.verl_plugin.patches.frozen_vision_tower import FrozenVisionTower
from medix_r1.training.verl_plugin.patches.lora_adapters import LoraAdapters
from medix_r1.training.verl_plugin.patches.sequence_means import SequenceMeans


class MedixEngine(FrozenVisionTower, LoraAdapters, SequenceMeans, UpdatesOwnMicroBatches, ReplaysRoutes, AsksToLook):
    """verl's FSDP engine with our patches; freezing the vision tower comes after its adapters are made."""

    def _build_module(self) -> nn.Module:
        gc_tuning.tune_for_training()  # not at import: processes that only score import this file, too
        return super()._build_module()


chunked_log_probs.install()
text_rows.install()
varlen_attention.register()

if cpu.is_active():
    from medix_r1.training.verl_plugin.cpu.offload import NoCpuOffload

    @EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")
    class CpuFsdpEngine(NoCpuOffload, MedixEngine):
        """Our FSDP2 engine for a machine without a GPU."""
else:
    # verl registers its own engine for the device alone, and looks up (device, vendor) first.
    EngineRegistry.register(
        model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=["nvidia", "amd"]
    )(MedixEngine)
