"""Checks what a model's config.json says: that it can be read, that it can be trained, that its weights fit it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.training.preflight.model.model_folder import model_object, snapshot, tensor_shapes, weight_files

_KEY = "actor_rollout_ref.model.path"
_PARTS = ("text_config", "vision_config")
_COUNTS = {
    "text_config": ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings"),
    "vision_config": ("patch_size", "spatial_merge_size"),
}
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_NOT_TEXT = re.compile(r"vis|image|merger|connector|projector|lora_|mtp", re.IGNORECASE)
_EMBEDDINGS = "embed_tokens.weight"


def value_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of the policy's config.json, in its folder or in the hub's cache; none where there is no such file."""
    model = config.actor_rollout_ref.model.path
    folder = snapshot(model)
    if not (folder / "config.json").is_file():
        return  # reported, or not downloaded
    values = model_object(folder)
    if values is None:
        yield Problem(_KEY, "unreadable-model", f"{folder}/config.json is no JSON object; download or copy it again")
        return
    if wrong := list(_wrong_values(values)):
        says = f"{folder}/config.json: {'; '.join(wrong)}; download or copy the model again"
        yield Problem(_KEY, "unreadable-model", says)
        return
    if (kind := values["model_type"]) not in (known := _architectures()) and known and not config.run.plugins:
        says = f"{model} is of the type '{kind}', of which the installed transformers has no model; take another one"
        yield Problem(_KEY, "unknown-architecture", f"{says} (docs/models.md)")
    if quantised := values.get("quantization_config"):
        how = quantised.get("quant_method") if isinstance(quantised, Mapping) else None
        says = f"the weights of {model} are quantised ({how or 'quantization_config'}), which cannot be trained; take"
        yield Problem(_KEY, "quantised-weights", f"{says} the model that they were made from, in bf16")
    yield from _position_problems(config, values)
    yield from _weight_problems(folder, values)


def _wrong_values(values: Mapping[str, Any]) -> Iterator[str]:
    kind = values.get("model_type")
    if not isinstance(kind, str) or not kind:
        yield f"model_type is {kind!r}, not a name"
    for part in _PARTS:
        inner = values.get(part) or {}
        if not isinstance(inner, Mapping):
            yield f"{part} is {type(inner).__name__}, not an object"
            continue
        for name in _COUNTS[part]:
            where, value = (f"{part}.{name}", inner[name]) if name in inner else (name, values.get(name))
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                yield f"{where} is {value!r}, not a whole number above 0"


def _architectures() -> frozenset[str]:
    """Types that transformers has a model for, read off its table, as importing it takes seconds; empty if unknown."""
    spec = find_spec("transformers")
    file = Path(str(spec.origin)).parent / "models/auto/modeling_auto.py" if spec is not None else None
    if file is None or not file.is_file():
        return frozenset()
    return frozenset(re.findall(r'^\s*\("([^"]+)", [("]', file.read_text(encoding="utf-8"), re.MULTILINE))


def _position_problems(config: DictConfig, values: Mapping[str, Any]) -> Iterator[Problem]:
    """vLLM refuses a context that is longer than the model's, unless its positions are stretched."""
    text = {**values, **(values.get("text_config") or {})}
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type")) if isinstance(rope, Mapping) else "unknown"
    positions, rollout = text.get("max_position_embeddings"), config.actor_rollout_ref.rollout
    longest = rollout.max_model_len or config.data.max_prompt_length + config.data.max_response_length
    if positions is not None and kind in (None, "default", "mrope") and longest > positions:
        yield Problem(
            "actor_rollout_ref.rollout.max_model_len" if rollout.max_model_len else "data.max_prompt_length",
            "longer-than-the-model",
            f"rows of up to {longest} tokens are more than the {positions} positions of "
            f"{config.actor_rollout_ref.model.path}, which vLLM refuses; use shorter prompts and replies",
        )


def _weight_problems(folder: Path, values: Mapping[str, Any]) -> Iterator[Problem]:
    """Tensors that do not fit the config: transformers would make new, random ones, or stop."""
    files = weight_files(folder)
    found = [tensor_shapes(file) for file in files]
    if not files or None in found or not all(file.exists() for file in files):
        return  # other formats, or reported
    shapes = {name: shape for one in found if one is not None for name, shape in one.items()}
    text = {**values, **(values.get("text_config") or {})}
    named = [name for name in shapes if not _NOT_TEXT.search(name)]
    layers = {int(match[1]) for name in named if (match := _LAYER.search(name))}
    wanted, width = text.get("num_hidden_layers"), text.get("hidden_size")
    wrong = []
    if layers and wanted is not None and max(layers) + 1 != wanted:
        wrong.append(f"{max(layers) + 1} layers, not the {wanted} of num_hidden_layers")
    for name in named:
        if name.endswith(_EMBEDDINGS) and width is not None and math.prod(shapes[name][1:]) != width:
            wrong.append(f"embeddings of {shapes[name][-1]} values, not the {width} of hidden_size")
    if wrong:
        says = f"the weights of {folder} have {' and '.join(wrong)} in its config.json; they are of two models"
        yield Problem(_KEY, "weights-do-not-fit", f"{says}: copy both from one")
