"""Checks the policy's folder: missing, incomplete (tokenizer, template, weights), or with code that verl would run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from omegaconf import DictConfig
from safetensors import SafetensorError, safe_open

from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.model_names import BUILD_DEMO, is_hub_name

_KEY = "actor_rollout_ref.model.path"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")  # any one of them is enough
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_INDEX, _ADAPTER = "model.safetensors.index.json", "adapter_config.json"
_NO_WEIGHTS = (b"version https://git-lfs", b"<!DOCTYPE", b"<html")  # what a broken download leaves in a file's place
_WITH_CLASSES = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def model_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of the model's folder; for a hub name, of the weights in its cache."""
    path = config.actor_rollout_ref.model.path
    folder = named_path(path)
    if "smolvlm" in path.lower() or model_config(folder).get("model_type") == "smolvlm":
        yield Problem(
            _KEY,
            "processor-not-loadable",
            f"verl 0.9.1 cannot load the processor of {path} and would train without the images; choose "
            "another model (docs/models.md)",
        )
    if config.actor_rollout_ref.actor.freeze_vision_tower and config.actor_rollout_ref.actor.strategy != "fsdp2":
        yield Problem(
            "actor_rollout_ref.actor.freeze_vision_tower", "needs-fsdp2", "works with actor.strategy=fsdp2 only"
        )
    if not folder.is_dir():
        if not is_hub_name(path):
            hint = f"; {BUILD_DEMO}" if "demo_dir" in config else ""
            yield Problem(_KEY, "no-such-model", f"{path} does not exist{hint}")
        # Dangling links in the cache are no problem: the hub downloads those files again.
        yield from _weight_problems(file for file in weight_files(snapshot(path)) if file.exists())
        return
    if (folder / _ADAPTER).is_file():
        base = _read(folder / _ADAPTER).get("base_model_name_or_path") or "its base model"
        says = f"{path} holds a LoRA adapter, not a model; train {base}, or merge the adapter into it first"
        yield Problem(_KEY, "adapter-alone", says)
        return
    if not (folder / "config.json").is_file():
        yield Problem(_KEY, "no-model-config", f"{path} has no config.json; give the folder of a whole model")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield Problem(_KEY, "no-tokenizer", f"{path} has no tokenizer ({_TOKENIZERS[0]}); copy it from the base model")
    if not any((folder / name).is_file() for name in _TEMPLATES) and not _read(folder / "tokenizer_config.json").get(
        "chat_template"
    ):
        yield Problem(
            _KEY, "no-chat-template", f"{path} has no chat template ({_TEMPLATES[0]}); copy it from the base model"
        )
    if not any((folder / name).is_file() for name in _PROCESSORS) and has_vision(folder):
        says = f"{path} has no {' and no '.join(_PROCESSORS)}, without which no picture is read; copy it from the base "
        yield Problem(_KEY, "no-processor", f"{says}model")
    for name in (*_PROCESSORS, "tokenizer_config.json"):
        if (folder / name).is_file() and not _read(folder / name):
            says = f"{path}/{name} is no JSON object; download or copy it again"
            yield Problem(_KEY, "unreadable-model", says)
    yield from _weight_problems(weight_files(folder))
    yield from _missing_weight_problems(folder, path)
    if code := sorted(file.name for file in folder.glob("*.py")):
        yield Problem(_KEY, "brings-code", f"{path} holds code ({', '.join(code)}), which verl would run; remove it")
    for name in _WITH_CLASSES:
        if (folder / name).is_file() and b'"auto_map"' in (folder / name).read_bytes():
            yield Problem(_KEY, "brings-code", f"{path}/{name} names code in auto_map, which verl would run; remove it")


def _missing_weight_problems(folder: Path, path: str) -> Iterator[Problem]:
    if not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        run = next((part for part in folder.absolute().parents if part.name.startswith("global_step_")), None)
        hint = (
            f"it belongs to a checkpoint that is not merged; medix-r1 merge {run} --out FOLDER, and give that folder"
            if run is not None
            else "download or copy the whole model; a checkpoint of a run becomes one by `medix-r1 merge`"
        )
        yield Problem(_KEY, "no-weights", f"{path} has no weights ({_WEIGHTS[0]}); {hint}")
        return
    for file in sorted(folder.glob("pytorch_model*.bin")):
        if not (begins := _beginning(file)) or begins.startswith(_NO_WEIGHTS):
            yield Problem(_KEY, "weights-not-whole", f"{file} holds no weights; download or copy it again")
    if not (folder / _INDEX).is_file():
        return
    named = _read(folder / _INDEX).get("weight_map")
    if not isinstance(named, dict):
        says = f"{path}/{_INDEX} is no JSON object with a weight_map; download or copy it again"
        yield Problem(_KEY, "weights-not-whole", says)
        return
    gone = sorted({str(name) for name in named.values()} - {file.name for file in folder.iterdir()})
    if gone:
        yield Problem(
            _KEY,
            "weights-not-whole",
            f"{path} lacks {', '.join(gone[:4])}{' and more' if len(gone) > 4 else ''}, which its index names; "
            "download or copy them",
        )


def _beginning(file: Path) -> bytes:
    if not file.exists():
        return b""
    with file.open("rb") as opened:
        return opened.read(32)


def _weight_problems(files: Iterable[Path]) -> Iterator[Problem]:
    for file in files:
        if tensor_sizes(file) is None:
            yield Problem(
                _KEY,
                "weights-not-whole",
                f"{file} is no whole safetensors file (a download that broke off, or a link to a file that is "
                "gone); remove it, and download or copy it again",
            )


def snapshot(model: str) -> Path:
    """A model's folder, for a hub name its snapshot in the cache; it need not exist."""
    folder = named_path(model)
    if folder.is_dir() or not is_hub_name(model):
        return folder
    cached = try_to_load_from_cache(model, "config.json")
    return Path(cached).parent if isinstance(cached, str) else folder


def weight_files(folder: Path) -> list[Path]:
    """A folder's safetensors files, broken ones included."""
    return sorted(folder.glob("*.safetensors"))


def tensor_sizes(file: Path) -> dict[str, int] | None:
    """Number of elements of each tensor by name, from the header; None for an incomplete file."""
    shapes = tensor_shapes(file)
    return None if shapes is None else {name: math.prod(shape) for name, shape in shapes.items()}


def tensor_shapes(file: Path) -> dict[str, list[int]] | None:
    """Shape of each tensor by name, from the header; None for an incomplete file."""
    try:
        with safe_open(file, framework="numpy") as opened:
            return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None


def model_config(folder: Path) -> dict[str, Any]:
    """A model's config.json, without parts that should be objects and are not; empty if there is none."""
    values = model_object(folder) or {}
    return {
        name: value for name, value in values.items() if not name.endswith("_config") or isinstance(value, dict | None)
    }


def has_vision(folder: Path) -> bool:
    """Whether a model's config knows pictures."""
    return any("vision" in name or "image" in name for name in model_config(folder))


def model_object(folder: Path) -> dict[str, Any] | None:
    """The object in a model's config.json as it stands there; None if there is none."""
    return _read(folder / "config.json") or None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
