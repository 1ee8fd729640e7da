"""LoRA adapters are trained in float32, and merged weights of a mixture of experts reach vLLM in its layout.

Upstream: verl 0.9.1 casts adapters to the base's dtype, because FSDP1 flattens parameters of one dtype together. FSDP2
does not ask for that of frozen parameters. With a base in bf16 most updates of an adapter are below bf16's resolution,
so they are rounded away. And weights with merged adapters go to vLLM without `unfuse_moe_params`: vLLM takes packed
experts for those of the hub, which are transposed.

See it: docs/upstream/lora_adapters.py

Here: under FSDP2 the adapters become float32 again before they are sharded, so gradients, optimizer states and
checkpoints are float32 too; the forward pass casts them to `mixed_precision.param_dtype` like any parameter. Merged
weights are unpacked like others.

Goes when: the script says that verl leaves the adapters as peft makes them, and unpacks merged weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.engine.fsdp.utils import unfuse_moe_params


class LoraAdapters(FSDPEngineWithLMHead):
    """verl's FSDP engine, with float32 adapters under FSDP2, and experts unpacked for vLLM."""

    def _build_lora_module(self, module: nn.Module) -> nn.Module:
        module = super()._build_lora_module(module)
        if self.engine_config.strategy == "fsdp2":
            for parameter in module.parameters():
                if parameter.requires_grad:  # peft freezes all but the adapters
                    parameter.data = parameter.data.to(torch.float32)
        return module

    def _merged_lora_per_tensor_param(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from unfuse_moe_params(super()._merged_lora_per_tensor_param(), self.model_config.hf_config.model_type)
