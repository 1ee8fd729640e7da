"""LoRA adapters in a checkpoint: merged into the weights they adapt, or written as a PEFT folder.

The update is W + (alpha / r) B A (Hu et al. 2021, eq. 3); names are PEFT's, alpha and r lie in `lora_train_meta.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from medix_r1.checkpoints.shards import Parameter, listed
from medix_r1.errors import CheckpointError

_PREFIX = "base_model.model."
_SUFFIXES = (".lora_A.default.weight", ".lora_B.default.weight")
_ROWS = 64 * 1024 * 1024  # bytes of an update that are computed at once


@dataclass(frozen=True, slots=True)
class Adapter:
    """The trained low-rank matrices, by the module they adapt."""

    rank: int
    alpha: int
    task: str
    tensors: Mapping[str, Parameter]  # under their names in training
    modules: Mapping[str, tuple[Parameter, Parameter]]  # name of a weight -> A (r, in), B (out, r)
    odd: tuple[str, ...]  # tensors that are not the A or B of a linear layer

    def add_to(self, weight: torch.Tensor, name: str) -> None:
        """Add the update of a weight in place, in the weight's dtype, some rows at a time."""
        down, up = (parameter.read().float() for parameter in self.modules[name])
        rows = max(1, _ROWS // (4 * weight.shape[1]))
        for start in range(0, weight.shape[0], rows):
            update = (up[start : start + rows] @ down) * (self.alpha / self.rank)
            weight[start : start + rows] += update.to(weight.dtype)


def split(parameters: Mapping[str, Parameter], actor: Path) -> tuple[dict[str, Parameter], Adapter | None]:
    """Take a checkpoint's parameters apart: the model's own under their plain names, and the adapter, if there is one.

    Raises:
        CheckpointError: there is an adapter and nothing says its rank and alpha, or it contradicts itself.
    """
    tensors = {name: parameter for name, parameter in parameters.items() if "lora_" in name}
    if not tensors:
        return dict(parameters), None
    base = {_plain(name): parameter for name, parameter in parameters.items() if name not in tensors}
    meta = _meta(actor / "lora_train_meta.json")
    pairs: dict[str, list[Parameter | None]] = {}
    odd = []
    for name, parameter in tensors.items():
        side = next((index for index, suffix in enumerate(_SUFFIXES) if name.endswith(suffix)), None)
        weight = _plain(name.removesuffix(_SUFFIXES[side]) + ".weight") if side is not None else ""
        if side is None or (base and weight not in base) or len(parameter.shape) != 2:
            odd.append(name)
        else:
            pairs.setdefault(weight, [None, None])[side] = parameter
    modules = {}
    for weight, (down, up) in pairs.items():
        if down is None or up is None or down.shape[0] != meta.rank or up.shape[1] != meta.rank:
            raise CheckpointError(
                f"{actor}: the adapter of {weight} is not a pair of rank {meta.rank}", code="adapter-not-a-pair"
            )
        if base and (up.shape[0], down.shape[1]) != base[weight].shape:
            raise CheckpointError(
                f"{actor}: the adapter of {weight} does not fit its shape {base[weight].shape}",
                code="adapter-does-not-fit",
            )
        modules[weight] = (down, up)
    return base, Adapter(meta.rank, meta.alpha, meta.task, tensors, modules, tuple(odd))


def check_mergeable(base: Mapping[str, Parameter], adapter: Adapter, actor: Path) -> None:
    """Refuse what cannot be merged.

    Raises:
        CheckpointError: the base weights are not in the checkpoint, or the adapter is no plain LoRA.
    """
    if not base:
        reason = "holds only the adapter (save_lora_only); export it with --adapter, and load it over its base model"
        raise CheckpointError(f"{actor} {reason}", code="adapter-alone")
    if adapter.odd:
        raise CheckpointError(
            f"{actor}: not the LoRA of a linear layer: {listed(adapter.odd)}; export it with --adapter",
            code="adapter-not-linear",
        )


def peft_tensors(adapter: Adapter) -> dict[str, Parameter]:
    """The adapter's tensors under the names of a PEFT folder."""
    return {name.replace(".default.weight", ".weight"): parameter for name, parameter in adapter.tensors.items()}


def write_config(adapter: Adapter, folder: Path, base_model: str | None) -> None:
    """Write adapter_config.json. Modules are named in full: a short name could match one that was not adapted."""
    from peft import LoraConfig

    if adapter.odd:
        raise CheckpointError(
            f"not the LoRA of a linear layer, no PEFT config is known for it: {listed(adapter.odd)}",
            code="adapter-not-linear",
        )
    LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        target_modules=sorted(name.removesuffix(".weight") for name in adapter.modules),
        task_type=adapter.task,
        base_model_name_or_path=base_model,
        inference_mode=True,
    ).save_pretrained(str(folder))


def _plain(name: str) -> str:
    return name.removeprefix(_PREFIX).replace(".base_layer.", ".")


@dataclass(frozen=True, slots=True)
class _Meta:
    rank: int
    alpha: int
    task: str


def _meta(path: Path) -> _Meta:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        meta = _Meta(int(content["r"]), int(content["lora_alpha"]), str(content.get("task_type") or "CAUSAL_LM"))
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{path}: not readable; without r and lora_alpha an adapter has no scale", code="adapter-without-scale"
        ) from None
    if meta.rank < 1 or meta.alpha < 1:
        raise CheckpointError(
            f"{path}: r {meta.rank} and lora_alpha {meta.alpha} give no scale", code="adapter-without-scale"
        )
    return meta
