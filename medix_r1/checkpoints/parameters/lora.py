"""LoRA adapters in a checkpoint: merged into the weights they adapt, or exported as a PEFT folder.

The merged weight is W + (alpha / r) B A (Hu et al. 2021, eq. 3). Names are PEFT's; alpha and r are in
`lora_train_meta.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from medix_r1.checkpoints.json_files import read_object
from medix_r1.checkpoints.parameters.fsdp_shards import Parameter, listed
from medix_r1.errors import CheckpointError

_PREFIX = "base_model.model."
_SUFFIXES = (".lora_A.default.weight", ".lora_B.default.weight")
_ROWS = 64 * 1024 * 1024  # bytes of an update computed at a time


@dataclass(frozen=True, slots=True)
class Adapter:
    """The trained low-rank matrices.

    Attributes:
        rank, alpha: r and alpha of the update's scale.
        task: PEFT's task type.
        tensors: by name in training.
        modules: from the name of a weight to A, shape (r, in), and B, shape (out, r).
        unsupported: tensors that are not the A or B of a linear layer.
    """

    rank: int
    alpha: int
    task: str
    tensors: Mapping[str, Parameter]
    modules: Mapping[str, tuple[Parameter, Parameter]]
    unsupported: tuple[str, ...]

    def add_to(self, weight: torch.Tensor, name: str) -> None:
        """Add the update to a weight in place, in chunks of rows: computed in float32, added in the weight's dtype."""
        down, up = (parameter.read().float() for parameter in self.modules[name])
        rows = max(1, _ROWS // (4 * weight.shape[1]))
        for start in range(0, weight.shape[0], rows):
            update = (up[start : start + rows] @ down) * (self.alpha / self.rank)
            weight[start : start + rows] += update.to(weight.dtype)


def split(parameters: Mapping[str, Parameter], actor: Path) -> tuple[dict[str, Parameter], Adapter | None]:
    """Split a checkpoint's parameters into the model's own, without PEFT's prefixes, and the adapter, if there is one.

    Raises:
        CheckpointError: rank and alpha of the adapter are unknown, or its shapes do not match.
    """
    tensors = {name: parameter for name, parameter in parameters.items() if "lora_" in name}
    if not tensors:
        return dict(parameters), None
    base = {_plain(name): parameter for name, parameter in parameters.items() if name not in tensors}
    meta = _meta(actor / "lora_train_meta.json")
    pairs: dict[str, list[Parameter | None]] = {}
    unsupported = []
    for name, parameter in tensors.items():
        side = next((index for index, suffix in enumerate(_SUFFIXES) if name.endswith(suffix)), None)
        weight = _plain(name.removesuffix(_SUFFIXES[side]) + ".weight") if side is not None else ""
        if side is None or (base and weight not in base) or len(parameter.shape) != 2:
            unsupported.append(name)
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
    return base, Adapter(meta.rank, meta.alpha, meta.task, tensors, modules, tuple(unsupported))


def check_mergeable(base: Mapping[str, Parameter], adapter: Adapter, actor: Path) -> None:
    """Check that an adapter can be merged.

    Raises:
        CheckpointError: the checkpoint lacks the base weights, or the adapter is not a LoRA of linear layers only.
    """
    if not base:
        reason = "holds only the adapter (save_lora_only); export it with --adapter, and load it over its base model"
        raise CheckpointError(f"{actor} {reason}", code="adapter-alone")
    if adapter.unsupported:
        raise CheckpointError(
            f"{actor}: not the LoRA of a linear layer: {listed(adapter.unsupported)}; export it with --adapter",
            code="adapter-not-linear",
        )


def peft_tensors(adapter: Adapter) -> dict[str, Parameter]:
    """The adapter's tensors, by their names in a PEFT folder."""
    return {name.replace(".default.weight", ".weight"): parameter for name, parameter in adapter.tensors.items()}


def write_config(adapter: Adapter, folder: Path, base_model: str | None) -> None:
    """Write adapter_config.json, with full module names, because a short name could match other modules.

    Raises:
        CheckpointError: the adapter has tensors that are not a LoRA of linear layers.
    """
    from peft import LoraConfig

    if adapter.unsupported:
        raise CheckpointError(
            f"not the LoRA of a linear layer, no PEFT config is known for it: {listed(adapter.unsupported)}",
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
    content = read_object(path) if path.exists() else {}
    rank, alpha, task = content.get("r"), content.get("lora_alpha"), content.get("task_type") or "CAUSAL_LM"
    if type(rank) is not int or type(alpha) is not int or rank < 1 or alpha < 1 or not isinstance(task, str):
        raise CheckpointError(
            f"{path}: r and lora_alpha are missing, or no whole numbers above 0; without them an adapter has no scale",
            code="adapter-without-scale",
        )
    return _Meta(rank, alpha, task)
