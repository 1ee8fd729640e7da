"""What is known of the recipes' models without their files: sizes, heads, and what their chat templates open.

`known_models.json` names the source of each model's values; `scripts/update_known_models.py` computes the sizes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medix_r1.training.preflight.model.model_folder import model_config, snapshot

FILE = Path(__file__).with_name("known_models.json")


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The sizes of a model that determine its memory."""

    parameters: int
    vision: int  # parameters of the vision tower
    linear: int  # sum of inputs and outputs of all linear layers but the last; times rank: LoRA's parameters
    linear_vision: int  # the same of the vision tower
    largest_layer: int  # parameters that FSDP all-gathers at once
    outside: int  # parameters in no layer of text or vision, embeddings and output layer left out
    tied: bool  # the output layer is the embeddings
    vision_layers: int
    vision_hidden: int
    patches_per_token: int  # patches of a picture that become one token
    patch_values: int  # values of a patch
    mergers: int  # modules that turn patches into tokens; Qwen3-VL has some for its first layers of text besides
    routed: int  # experts of a token; 0 without experts
    layers: int
    hidden: int
    mlp: int  # width of the MLP
    vocabulary: int
    kv_bytes_per_token: int  # KV cache of all layers, in bf16


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as its publishers describe it.

    Attributes:
        names: hub names of models with these values.
        source: where the values stand.
        config: the values of config.json that its sizes follow from.
        size: its sizes.
    """

    names: tuple[str, ...]
    source: str
    config: Mapping[str, Any]
    size: ModelSize


def find(model: str) -> KnownModel | None:
    """The known model of a hub name, or of a folder (or cached snapshot) whose config.json has the same values."""
    folder = snapshot(model)
    config = model_config(folder)
    for known in known_models():
        if _has(config, known.config) if config else model in known.names:
            return known
    return None


def is_known(model: str) -> bool:
    """Whether a hub name is among the known models."""
    return any(model in known.names for known in known_models())


def opened_element(model: str) -> str | None:
    """The element that the chat template of a known hub name opens before the reply: Thinking models open `think`."""
    return "think" if model.endswith("-Thinking") else None


@functools.cache
def known_models() -> tuple[KnownModel, ...]:
    """All of `known_models.json`."""
    entries: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        KnownModel(tuple(entry["names"]), entry["source"], entry["config"], ModelSize(**entry["size"]))
        for entry in entries
    )


def _has(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a config has all wanted values, at any depth; Qwen2.5-VL's text values may stand at the top."""
    return all(
        _has(config.get(key) or (config if key == "text_config" else {}), value)
        if isinstance(value, Mapping)
        else config.get(key) == value
        for key, value in wanted.items()
    )
