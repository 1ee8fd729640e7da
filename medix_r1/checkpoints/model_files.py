"""The files of a model beside its weights, as the run saved them and in the form that older readers need.

transformers 5 saves `rope_parameters`, `num_local_experts`, one `processor_config.json` and a new tokenizer class.
transformers 4.57 and tools of its time read `rope_theta` and `rope_scaling`, `num_experts`, `preprocessor_config.json`
and another tokenizer class. Each fact is written in both forms, or in the older one where transformers 5 reads it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medix_r1.checkpoints.json_files import LARGEST, read_object
from medix_r1.errors import CheckpointError

COPIED = (".json", ".jinja", ".txt", ".model")  # files of the checkpoint's huggingface folder
_NOT_COPIED = ("index.json",)  # of weights, if verl was told to save a Hugging Face model too
_PROCESSOR = "processor_config.json"
_PARTS = {"image_processor": "preprocessor_config.json", "video_processor": "video_preprocessor_config.json"}
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_OF_OTHER_WEIGHTS = ("quantization_config", "compression_config")  # of a base; the merged weights are plain
_ALWAYS_RENORMALISES = "qwen3_vl_moe_text"  # so transformers 5 does not save norm_topk_prob; vLLM needs it


def copy(huggingface: Path, folder: Path) -> None:
    """Copy the run's config, tokenizer and processor.

    Raises:
        CheckpointError: one is larger than such a file can be.
    """
    for file in sorted(huggingface.iterdir()):
        if file.is_file() and file.suffix in COPIED and not file.name.endswith(_NOT_COPIED):
            if file.stat().st_size > LARGEST:
                raise CheckpointError(f"{file}: too large for a file of settings", code="file-too-large")
            shutil.copyfile(file, folder / file.name)


def write_config(folder: Path, *, dtype: str, is_tied: bool) -> list[str]:
    """Put the weights' dtype into config.json, and every renamed setting under its older name, too.

    Args:
        folder: of the model.
        dtype: of most weights.
        is_tied: whether the output layer shares the embedding's weight; parts of a config may contradict each other.

    Returns:
        Settings that were left out, because they say of the weights what those are not.
    """
    path = folder / "config.json"
    config = read_object(path)
    dropped = [key for key in _OF_OTHER_WEIGHTS if config.pop(key, None)]
    for part in (config, *(value for key, value in config.items() if key.endswith("_config"))):
        if part is config or (isinstance(part, dict) and "dtype" in part):
            part.pop("torch_dtype", None)  # the name of older versions
            part["dtype"] = dtype
    for part in _dicts(config):
        _add_older_names(part)
        if "tie_word_embeddings" in part:
            part["tie_word_embeddings"] = is_tied
    _write(path, config)
    return dropped


def write_older_forms(folder: Path) -> None:
    """Write tokenizer and processor files that transformers 4.57 reads, where the run saved only newer ones."""
    if (folder / _PROCESSOR).is_file():
        processor = read_object(folder / _PROCESSOR)
        for part, name in _PARTS.items():
            if isinstance(processor.get(part), dict) and not (folder / name).exists():
                _write(folder / name, processor[part] | {"processor_class": processor.get("processor_class")})
    if (folder / "tokenizer_config.json").is_file():
        settings = read_object(folder / "tokenizer_config.json")
        _write_special_tokens(folder, settings)
    if (folder / "tokenizer.json").is_file():
        _write_vocabulary(folder, read_object(folder / "tokenizer.json"))


def check_complete(folder: Path) -> None:
    """Check that a model folder has a file of every kind that loaders need.

    Raises:
        CheckpointError: it has not.
    """
    wanted = [["config.json"], ["generation_config.json"], ["tokenizer_config.json"], ["*.safetensors"]]
    wanted.append(["chat_template.jinja", "chat_template.json"])
    if "vision_config" in read_object(folder / "config.json"):
        wanted.append([_PROCESSOR, "preprocessor_config.json"])
    for names in wanted:
        if not any(any(folder.glob(name)) for name in names):
            raise CheckpointError(
                f"the merged model has no {' or '.join(names)}: the checkpoint's huggingface has none",
                code="files-missing",
            )


def _add_older_names(part: dict[str, Any]) -> None:
    rope = part.get("rope_parameters")
    if isinstance(rope, Mapping) and isinstance(rope.get("rope_theta"), int | float):
        scaling = {key: value for key, value in rope.items() if key not in ("rope_theta", "partial_rotary_factor")}
        part.setdefault("rope_theta", rope["rope_theta"])
        part.setdefault("rope_scaling", None if scaling == {"rope_type": "default"} else scaling)
        if "partial_rotary_factor" in rope:
            part.setdefault("partial_rotary_factor", rope["partial_rotary_factor"])
    if "num_local_experts" in part:
        part.setdefault("num_experts", part["num_local_experts"])
    if part.get("model_type") == _ALWAYS_RENORMALISES:
        part.setdefault("norm_topk_prob", True)


def _write_special_tokens(folder: Path, settings: dict[str, Any]) -> None:
    extra = settings.get("extra_special_tokens")
    if isinstance(extra, list):  # transformers 4.57 reads a mapping under this name, and the list under its older one
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the older name of the same class
    _write(folder / "tokenizer_config.json", settings)
    names = (*_NAMED_TOKENS, "additional_special_tokens")
    tokens = {name: settings[name] for name in names if settings.get(name)}
    if tokens and not (folder / "special_tokens_map.json").exists():
        _write(folder / "special_tokens_map.json", tokens)


def _write_vocabulary(folder: Path, tokenizer: Mapping[str, Any]) -> None:
    """vocab.json and merges.txt of a byte-pair encoding, which readers without the tokenizers library need."""
    model = tokenizer.get("model")
    if not isinstance(model, Mapping) or model.get("type") != "BPE" or (folder / "vocab.json").exists():
        return
    _write(folder / "vocab.json", model["vocab"], indent=None)
    merges = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text("".join(f"{pair}\n" for pair in ("#version: 0.2", *merges)), encoding="utf-8")


def _dicts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _dicts(value)


def _write(path: Path, content: object, *, indent: int | None = 2) -> None:
    text = json.dumps(content, indent=indent, sort_keys=indent is not None, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")
