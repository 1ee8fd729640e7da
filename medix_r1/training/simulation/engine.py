"""verl's FSDP2 engine with our patches, built at a model's real size from its config: fake tensors, no weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from types import SimpleNamespace
from typing import Any

import torch
from omegaconf import DictConfig
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForImageTextToText
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.config import HFModelConfig
from verl.workers.engine.fsdp import transformer_impl

from medix_r1.training.simulation import stand_ins
from medix_r1.training.verl_plugin.engine import MedixEngine


class SimulatedEngine(MedixEngine):
    """Takes the inputs that it is given, and weights that nobody read."""

    def prepare_model_inputs(self, micro_batch: Any) -> Any:
        return micro_batch.model_inputs, micro_batch.output_args


def build(config: DictConfig, hf_config: Any, fake: FakeTensorMode, *, reference: bool = False) -> SimulatedEngine:
    """The actor's engine of a config, or the reference's; its module is built within `fake`.

    Needs a process group, and runs outside of `fake`: a device mesh has values.

    Raises:
        Exception: what verl, transformers, peft or torch raise.
    """
    node = config.actor_rollout_ref
    engine_config = omega_conf_to_dataclass(node.ref if reference else node.actor).fsdp_config
    object.__setattr__(engine_config, "strategy", "fsdp2")
    model = SimpleNamespace(**{**_defaults(), **_plain(node.model), "hf_config": hf_config, "local_path": ""})
    if reference:
        model.lora_rank = 0
    transformer_impl.fsdp2_load_full_state_dict = lambda *_, **__: None  # there is nothing to load
    transformer_impl.CPUOffloadPolicy = lambda **_: None  # phases.py counts offloaded shards as the host's
    engine = SimulatedEngine(model, engine_config, omega_conf_to_dataclass(node.actor.optim), None)
    if engine_config.use_torch_compile:
        engine.compute_entropy_from_logits = stand_ins.compiled_entropy
    with fake, _from_config():
        engine._build_model_optimizer()
    for group in engine.optimizer.param_groups if engine.optimizer else ():
        if group.get("foreach", 0) is None and not group.get("fused"):
            group["foreach"] = True  # torch's choice on CUDA, which copies what it works on
    return engine


def _defaults() -> dict[str, Any]:
    """Of verl's model config, whose own constructor would read the model's folder."""
    values: dict[str, Any] = {}
    for field in fields(HFModelConfig):
        if field.default is not MISSING:
            values[field.name] = field.default
        elif field.default_factory is not MISSING:
            values[field.name] = field.default_factory()
    return values


def _plain(node: DictConfig) -> dict[str, Any]:
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(node, resolve=True)
    return dict(plain)


@contextmanager
def _from_config() -> Iterator[None]:
    """transformers builds a model where verl would load one; modules convert parameters although they are fake."""
    before = AutoModelForImageTextToText.from_pretrained, torch.utils.swap_tensors

    def built(cls: Any, /, *_: Any, config: Any, torch_dtype: Any, **__: Any) -> Any:
        return cls.from_config(config, dtype=torch_dtype)

    def set_data(parameter: Any, converted: Any) -> None:
        parameter.data = converted.data  # torch swaps fake tensors, which it cannot while anything watches them

    AutoModelForImageTextToText.from_pretrained = classmethod(built)
    torch.utils.swap_tensors = set_data
    try:
        yield
    finally:
        AutoModelForImageTextToText.from_pretrained, torch.utils.swap_tensors = before
