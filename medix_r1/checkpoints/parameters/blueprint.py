"""The parameters that a model must have, from the architecture that transformers builds on the meta device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.core_model_loading import revert_weight_conversion

from medix_r1.checkpoints.json_files import read_object
from medix_r1.checkpoints.parameters.fsdp_shards import Parameter, listed
from medix_r1.checkpoints.parameters.hub_layout import hub_conversions
from medix_r1.errors import CheckpointError

Shape = tuple[int, ...]
_HEADS = ("v_head.", "score.", "classifier.")
_MOST_LAYERS = 1000  # transformers would build more than memory holds
_LAYERS = ("num_hidden_layers", "depth")
_CODE_KEYS = ("auto_map", "custom_pipelines")


@dataclass(frozen=True)
class Blueprint:
    """Names and shapes of a model's parameters, in training and in its folder.

    Attributes:
        model: the architecture on the meta device.
        shapes: by name in training.
        tied: from a parameter to the one whose weight it shares.
    """

    model: Any
    shapes: Mapping[str, Shape]
    tied: Mapping[str, str]

    def stored(self, name: str) -> dict[str, Shape]:
        """Names and shapes under which a parameter is stored; one may become several, such as fused experts."""
        return {
            key: tuple(value.shape)
            for key, value in self.convert(name, torch.empty(self.shapes[name], device="meta")).items()
        }

    def convert(self, name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        """A parameter in the hub's layout: the inverse of the conversion in transformers' loader."""
        return dict(revert_weight_conversion(self.model, {name: tensor}))

    def is_converted(self, name: str) -> bool:
        """Whether a parameter is stored under another name or in another layout."""
        stand_in = torch.empty(self.shapes[name], device="meta")
        return self.convert(name, stand_in).get(name) is not stand_in

    def problems(self, parameters: Mapping[str, Parameter]) -> list[str]:
        """Sentences on missing, unknown and misshapen parameters; empty if they are exactly those of this model."""
        found = {name: parameter.shape for name, parameter in parameters.items()}
        heads = [name for name in found if name.startswith(_HEADS) or ".v_head." in name]
        if heads and not all(name in self.shapes for name in heads):
            return [
                f"it has a value head ({listed(heads)}): a critic predicts returns and cannot answer; merge the actor"
            ]
        shared = {name for pair in self.tied.items() for name in pair}
        missing = [name for name in self.shapes if name not in found and not self._partner_is_in(name, found, shared)]
        extra = [name for name in found if name not in self.shapes]
        wrong = [
            f"{name} {found[name]} instead of {shape}"
            for name, shape in self.shapes.items()
            if name in found and found[name] != shape
        ]
        state = self.model.state_dict()
        kinds = [
            f"{name} ({parameter.dtype})"
            for name, parameter in parameters.items()
            if name in self.shapes and not _is_of_kind(parameter.dtype, state[name])
        ]
        cases = {
            "missing": missing,
            "not part of the model": extra,
            "wrong shape": wrong,
            "wrong kind of numbers": kinds,
        }
        return [f"{case}: {listed(names)}" for case, names in cases.items() if names]

    def _partner_is_in(self, name: str, found: Mapping[str, Shape], shared: set[str]) -> bool:
        return name in shared and any(
            (source if name == target else target) in found
            for target, source in self.tied.items()
            if name in (target, source)
        )


def _is_of_kind(dtype: torch.dtype, wanted: torch.Tensor) -> bool:
    """Whether a parameter of this dtype may stand for one of the model; weights of 8 bits need scales beside them."""
    if wanted.is_floating_point():
        return bool(dtype.is_floating_point) and dtype.itemsize > 1
    return not dtype.is_floating_point


def build(huggingface: Path) -> Blueprint:
    """Build the model of a `huggingface` folder on the meta device.

    Raises:
        CheckpointError: the folder has or requests code, or its architecture is a value model or does not generate.
    """
    refuse_code(huggingface)
    _check_layers(huggingface / "config.json", read_object(huggingface / "config.json"))
    try:
        config = AutoConfig.from_pretrained(huggingface, trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            model = auto_class(config, huggingface).from_config(config, trust_remote_code=False)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001  anybody may have written the config, so anything may be wrong in it
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise CheckpointError(f"{huggingface}: no usable config.json: {reason}", code="no-model-config") from None
    model._weight_conversions = hub_conversions(model)
    ignored = set(model._keys_to_ignore_on_save or ())
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items() if name not in ignored}
    blueprint = Blueprint(model, shapes, dict(model.all_tied_weights_keys))
    _check_streamable(blueprint)
    _check_distinct(blueprint)
    return blueprint


def auto_class(config: Any, huggingface: Path) -> Any:
    """The auto class of transformers that builds and loads an architecture.

    Raises:
        CheckpointError: the architecture is a value model or does not generate text.
    """
    architecture = (config.architectures or ["none"])[0]
    if architecture.endswith(("ForTokenClassification", "ForSequenceClassification", "ForRewardModel")):
        reason = "a value or reward model: it has a number for a head and cannot answer; merge the actor"
        raise CheckpointError(f"{huggingface}: {architecture} is {reason}", code="not-a-generator")
    if architecture.endswith("ForConditionalGeneration"):
        return AutoModelForImageTextToText
    if architecture.endswith("ForCausalLM"):
        return AutoModelForCausalLM
    raise CheckpointError(
        f"{huggingface}: architecture {architecture} is neither ForConditionalGeneration nor ForCausalLM",
        code="unknown-architecture",
    )


def refuse_code(folder: Path) -> None:
    """Refuse a model folder with Python files, or settings that name code which transformers could run.

    Raises:
        CheckpointError: it has one.
    """
    if code := sorted(path.name for path in folder.glob("**/*.py")):
        raise CheckpointError(
            f"{folder} is refused: it brings code ({listed(code)}); remote code is off", code="brings-code"
        )
    for path in sorted(folder.glob("**/*.json")):
        if _asks_for_code(read_object(path)):
            raise CheckpointError(
                f"{path} is refused: its {' or '.join(_CODE_KEYS)} asks for code to run; remote code is off",
                code="asks-for-code",
            )


def _asks_for_code(node: object) -> bool:
    if isinstance(node, dict):
        return any(map(node.get, _CODE_KEYS)) or any(map(_asks_for_code, node.values()))
    return isinstance(node, list) and any(map(_asks_for_code, node))


def _check_layers(path: Path, node: object) -> None:
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        _check_layers(path, part)
    for key in _LAYERS if isinstance(node, dict) else ():
        value = node.get(key) if isinstance(node, dict) else None
        if isinstance(value, int | float) and value > _MOST_LAYERS:
            raise CheckpointError(f"{path}: {key} {value:g} is no number of layers", code="too-many-layers")


def _check_streamable(blueprint: Blueprint) -> None:
    """Check that converting one parameter at a time gives the same result as converting all together."""
    if blueprint.model._weight_conversions is None:
        return
    everything = {name: torch.empty(shape, device="meta") for name, shape in blueprint.shapes.items()}
    whole = {key: tuple(value.shape) for key, value in revert_weight_conversion(blueprint.model, everything).items()}
    single: dict[str, Shape] = {}
    for name in blueprint.shapes:
        single |= blueprint.stored(name)
    if single != whole:
        odd = sorted(single.keys() ^ whole.keys())
        raise CheckpointError(
            f"{type(blueprint.model).__name__} stores parameters jointly: {listed(odd)}; not supported",
            code="stored-jointly",
        )


def _check_distinct(blueprint: Blueprint) -> None:
    """Check that a transposed parameter has another shape in its folder than in training.

    transformers 5 tells the two layouts apart by the shape alone, so it would load square experts transposed.
    """
    square = [
        name
        for name, shape in blueprint.shapes.items()
        if blueprint.is_converted(name) and blueprint.stored(name) == {name: shape}
    ]
    if square:
        raise CheckpointError(
            f"{listed(square)}: square, so transformers 5 cannot tell the hub's layout from its own and would load "
            "them transposed; choose an expert width (moe_intermediate_size) that is neither the hidden size nor half "
            "of it",
            code="square-experts",
        )
