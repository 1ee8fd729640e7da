"""What is wrong with the policy's folder: nothing there, no tokenizer, no chat template, code that verl would run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

_KEY = "actor_rollout_ref.model.path"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")  # any of them
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_WITH_CLASSES = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def model_problems(config: DictConfig) -> Iterator[str]:
    """Look into the folder; a name on the hub is taken as it is."""
    path = config.actor_rollout_ref.model.path
    folder = Path(path).expanduser()
    if "smolvlm" in path.lower() or model_config(folder).get("model_type") == "smolvlm":
        yield (
            f"{_KEY}: verl 0.9.1 cannot load the processor of {path} and would train without the images; choose "
            "another model (docs/models.md)"
        )
    if config.actor_rollout_ref.actor.freeze_vision_tower and config.actor_rollout_ref.actor.strategy != "fsdp2":
        yield "actor_rollout_ref.actor.freeze_vision_tower: works with actor.strategy=fsdp2 only"
    looks_local = path.startswith(("/", "./", "../", "~")) or path.count("/") > 1
    if not folder.is_dir():
        if looks_local:
            hint = "; build the demo first: medix-r1 demo build" if "demo_dir" in config else ""
            yield f"{_KEY}: {path} does not exist{hint}"
        return
    if not (folder / "config.json").is_file():
        yield f"{_KEY}: {path} has no config.json"
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield f"{_KEY}: {path} has no tokenizer ({_TOKENIZERS[0]}); copy it from the base model"
    if not any((folder / name).is_file() for name in _TEMPLATES) and not _read(folder / "tokenizer_config.json").get(
        "chat_template"
    ):
        yield f"{_KEY}: {path} has no chat template ({_TEMPLATES[0]}); copy it from the base model"
    if code := sorted(file.name for file in folder.glob("*.py")):
        yield f"{_KEY}: {path} holds code ({', '.join(code)}), which verl would run; remove it"
    for name in _WITH_CLASSES:
        if (folder / name).is_file() and '"auto_map"' in (folder / name).read_text(encoding="utf-8"):
            yield f"{_KEY}: {path}/{name} names code in auto_map, which verl would run; remove it"


def model_config(folder: Path) -> dict[str, Any]:
    """A model's config.json; empty where there is none."""
    return _read(folder / "config.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
