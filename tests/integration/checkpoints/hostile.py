"""Checkpoints as somebody might send them to do harm, or as an accident leaves them: each changes a good one.

A function takes the folder `global_step_5` of a sealed checkpoint (plain.py) whose run lies beside a file `secret`, and
spoils it. `CASES` gives each the code that a merge must answer with, and what its message must name.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medix_r1.runs import checkpoints
from tests.integration.checkpoints.plain import config, save, state_of

SHARD = "model_world_size_1_rank_0.pt"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


@dataclass(frozen=True)
class Case:
    """What is done to the checkpoint, and what a merge must say."""

    spoil: Callable[[Path], object]
    code: str
    named: tuple[str, ...] = ()
    reseal: bool = True


def settings(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Replace a file of the model's settings."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / "actor" / "huggingface" / name).write_bytes(data)


def changed_config(**changes: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / "actor" / "huggingface" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")

    return spoil


def linked(name: str, target: str) -> Callable[[Path], object]:
    """Replace a file of the actor's folder by a link."""

    def spoil(folder: Path) -> None:
        path = folder / "actor" / name
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return spoil


def linked_folder(folder: Path) -> None:
    shutil.move(folder / "actor" / "huggingface", folder.parents[2] / "elsewhere")
    (folder / "actor" / "huggingface").symlink_to(folder.parents[2] / "elsewhere")


def fifo(folder: Path) -> None:
    """Whoever opens it waits for ever."""
    path = folder / "actor" / "huggingface" / "tokenizer.json"
    os.mkfifo(path)


def shard(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Save the only shard anew after a change of its state dict."""

    def spoil(folder: Path) -> None:
        state: dict[str, Any] = state_of(config())
        change(state)
        torch.save(state, folder / "actor" / SHARD)

    return spoil


def put(name: str, value: object) -> Callable[[Path], object]:
    return shard(lambda state: state.update({name: value}))


def of_number(value: float) -> Callable[[Path], object]:
    return shard(lambda state: state["model.layers.1.mlp.up_proj.weight"][3].fill_(value))


def world_size(value: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "actor" / "fsdp_config.json").write_text(json.dumps({"world_size": value}))


def another_save(name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copy(folder / "actor" / SHARD, folder / "actor" / name)


def shard_of_another_step(folder: Path) -> None:
    """Of the same size, so that only its fingerprint tells."""
    state = {name: value + 1 for name, value in state_of(config()).items()}
    other = save(folder.parents[2] / "other", state, step=10)
    shutil.copy(other / "actor" / SHARD, folder / "actor" / SHARD)


def settings_of_another_step(folder: Path) -> None:
    path = folder / "actor" / "huggingface" / "tokenizer_config.json"
    path.write_text("[]", encoding="utf-8")  # as long as {}


def compressed(folder: Path) -> None:
    """A shard whose parts are compressed: small on disk, as large as one likes in memory."""
    path = folder / "actor" / SHARD
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_suffix(".new"), "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    path.with_suffix(".new").rename(path)


def cut(folder: Path) -> None:
    path = folder / "actor" / SHARD
    path.write_bytes(path.read_bytes()[:-2000])


def sparse() -> torch.Tensor:
    return torch.zeros(32).to_sparse()


def big(folder: Path) -> None:
    """A sparse file: 100 GB by its size, nothing on disk."""
    with (folder / "actor" / "huggingface" / "tokenizer.json").open("wb") as file:
        file.truncate(100_000_000_000)


def big_text(folder: Path) -> None:
    with (folder / "actor" / "huggingface" / "merges.txt").open("wb") as file:
        file.truncate(100_000_000_000)


def lora_meta(content: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        put("base_model.model.model.norm.lora_A.default.weight", torch.zeros(2, 2))(folder)
        (folder / "actor" / "lora_train_meta.json").write_text(content, encoding="utf-8")

    return spoil


def manifest(content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / checkpoints.MANIFEST).write_text(content, encoding="utf-8")


def run_config(content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder.parents[1] / "config.yaml").write_bytes(data)


def metrics(content: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder.parents[1] / "metrics").mkdir()
        (folder.parents[1] / "metrics" / "attempt_001.jsonl").write_text(f"{content}\n", encoding="utf-8")

    return spoil


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch owned",)


def sparse_file(name: str) -> Callable[[Path], object]:
    """50 GB by its size, nothing on disk."""

    def spoil(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(50_000_000_000)

    return spoil


def metrics_pipe(folder: Path) -> None:
    (folder.parents[1] / "metrics").mkdir()
    os.mkfifo(folder.parents[1] / "metrics" / "attempt_001.jsonl")


DEEP = "[" * 200_000
CASES: dict[str, Case] = {
    "a link to a secret as a tokenizer": Case(
        linked("huggingface/vocab.json", "../../../../../secret"), "link-leads-out"
    ),
    "an absolute link as a config": Case(linked("huggingface/config.json", "/etc/passwd"), "link-leads-out"),
    "a link as a shard": Case(linked(SHARD, "/dev/zero"), "link-leads-out"),
    "a link as the settings' folder": Case(linked_folder, "link-leads-out", ("huggingface",), reseal=False),
    "a link that leads nowhere": Case(linked("huggingface/a.json", "/nowhere/at/all"), "link-leads-out", ("a.json",)),
    "a pipe": Case(fifo, "not-a-file", ("tokenizer.json",), reseal=False),
    "auto_map": Case(changed_config(auto_map={"AutoModel": "evil.Model"}), "asks-for-code"),
    "nested auto_map": Case(changed_config(text_config={"a": [{"auto_map": {"AutoConfig": "e.C"}}]}), "asks-for-code"),
    "auto_map of a processor": Case(
        settings("processor_config.json", '{"image_processor": {"auto_map": {"AutoImageProcessor": "evil.P"}}}'),
        "asks-for-code",
        ("processor_config.json",),
    ),
    "a Python file": Case(settings("modeling_evil.py", "print(1)"), "brings-code", ("modeling_evil.py",)),
    "a broken config": Case(settings("config.json", '{"model_type": '), "json-unreadable", ("config.json",)),
    "a config in UTF-16": Case(settings("config.json", '{"a": "ü"}'.encode("utf-16")), "json-unreadable"),
    "a config that is a list": Case(settings("config.json", "[1, 2]"), "json-not-an-object", ("list",)),
    "a deeply nested JSON": Case(settings("tokenizer.json", DEEP), "json-unreadable", ("tokenizer.json",)),
    "a number of a million digits": Case(settings("config.json", '{"a": ' + "9" * 1_000_000 + "}"), "json-unreadable"),
    "a JSON of 100 GB": Case(big, "json-too-large", ("tokenizer.json", "100000 MB")),
    "a text of 100 GB": Case(big_text, "file-too-large", ("merges.txt",)),
    "no config": Case(lambda f: (f / "actor/huggingface/config.json").unlink(), "file-unreadable", ("config.json",)),
    "an unknown architecture": Case(changed_config(architectures=["Evil"]), "unknown-architecture", ("Evil",)),
    "architectures of another type": Case(changed_config(architectures=7), "no-model-config"),
    "an unknown model type": Case(changed_config(model_type=f"evil{ESCAPE}"), "no-model-config"),
    "a billion layers": Case(changed_config(num_hidden_layers=10**9), "too-many-layers", ("num_hidden_layers",)),
    "no attention heads": Case(changed_config(num_attention_heads=0), "no-model-config"),
    "a negative width": Case(changed_config(hidden_size=-32), "no-model-config"),
    "a text as a width": Case(changed_config(hidden_size="wide"), "no-model-config"),
    "another width": Case(changed_config(hidden_size=64), "not-a-whole-model", ("wrong shape",)),
    "world_size 0": Case(world_size(0), "no-number-of-ranks"),
    "world_size -1": Case(world_size(-1), "no-number-of-ranks"),
    "world_size of a trillion": Case(world_size(10**12), "no-number-of-ranks"),
    "world_size true": Case(world_size(True), "no-number-of-ranks"),
    "world_size in words": Case(world_size("one"), "no-number-of-ranks"),
    "world_size of ranks that are not there": Case(world_size(60_000), "files-missing", ("and 59990 more",)),
    "an extra rank": Case(another_save("model_world_size_1_rank_1.pt"), "shards-of-another-save", ("rank_1",)),
    "shards of another world": Case(another_save("model_world_size_2_rank_0.pt"), "shards-of-another-save"),
    "a rank beyond all numbers": Case(another_save(f"model_world_size_1_rank_{10**8}.pt"), "shards-of-another-save"),
    "a shard of another step": Case(shard_of_another_step, "not-as-saved", (SHARD,), reseal=False),
    "settings of another step": Case(settings_of_another_step, "not-as-saved", ("tokenizer_config",), reseal=False),
    "a shard that was cut": Case(cut, "shard-unreadable", (SHARD,)),
    "a compressed shard": Case(compressed, "shard-unreadable", (SHARD,)),
    "NaN": Case(of_number(float("nan")), "not-finite", ("model.layers.1.mlp.up_proj.weight",)),
    "infinity": Case(of_number(float("-inf")), "not-finite", ("model.layers.1.mlp.up_proj.weight",)),
    "whole numbers as weights": Case(put("model.norm.weight", torch.zeros(32, dtype=torch.int64)), "not-a-whole-model"),
    "complex weights": Case(put("model.norm.weight", torch.zeros(32, dtype=torch.complex64)), "not-a-whole-model"),
    "a sparse weight": Case(put("model.norm.weight", sparse()), "shard-not-plain", ("model.norm.weight",)),
    "a meta weight": Case(put("model.norm.weight", torch.zeros(32, device="meta")), "shard-not-plain"),
    "a weight larger than its bytes": Case(put("model.norm.weight", torch.zeros(1).expand(10**12)), "shard-not-plain"),
    "a parameter called as an escape": Case(
        put(f"model.{ESCAPE}", torch.zeros(2)), "shard-holds-no-tensor", ("\\x1b",)
    ),
    "a parameter called by a number": Case(put(7, torch.zeros(2)), "shard-holds-no-tensor"),  # type: ignore[arg-type]
    "a file called as an escape": Case(settings(f"{ESCAPE}.json", "{}"), "odd-name", ("\\x1b",)),
    "a scale of 0": Case(lora_meta('{"r": 2, "lora_alpha": 0}'), "adapter-without-scale"),
    "a scale in words": Case(lora_meta('{"r": "2", "lora_alpha": 4}'), "adapter-without-scale"),
    "no object as a scale": Case(lora_meta("7"), "json-not-an-object", ("lora_train_meta.json",)),
    "a broken manifest": Case(manifest('{"files"'), "no-manifest", reseal=False),
    "a manifest of another type": Case(manifest("[]"), "no-manifest", reseal=False),
    "a deeply nested manifest": Case(manifest(DEEP), "no-manifest", reseal=False),
    "a manifest of files elsewhere": Case(
        manifest('{"files": {"../../../secret\\u001b[2J": 1}}'), "not-whole", ("\\x1b",), reseal=False
    ),
    "a manifest that names nothing": Case(manifest('{"files": {}}'), "not-as-saved", (SHARD,), reseal=False),
    "a manifest of 50 GB": Case(sparse_file(checkpoints.MANIFEST), "no-manifest", reseal=False),
    "a file of settings that came later": Case(
        settings("added_tokens.json", "{}"), "not-as-saved", ("added_tokens.json",), reseal=False
    ),
    "NaN as a setting": Case(settings("config.json", '{"rope_theta": NaN}'), "json-unreadable", ("config.json", "NaN")),
    "custom pipelines": Case(changed_config(custom_pipelines={"x": {"impl": "evil.X"}}), "asks-for-code"),
    "8-bit floats": Case(put("model.norm.weight", torch.ones(32).to(torch.float8_e4m3fn)), "not-a-whole-model"),
    "a pickle that runs": Case(put("evil", Evil()), "shard-holds-code", ("system",)),
    "a run config that is a pipe": Case(lambda f: os.mkfifo(f.parents[1] / "config.yaml"), "run-file-unreadable"),
    "a run config of 50 GB": Case(sparse_file("../../config.yaml"), "run-file-unreadable"),
    "metrics that are a pipe": Case(metrics_pipe, "run-file-unreadable"),
    "a broken run config": Case(run_config("a: [1"), "run-config-unreadable", ("config.yaml",)),
    "a run config in UTF-16": Case(run_config("a: ü".encode("utf-16")), "run-config-unreadable"),
    "broken metrics": Case(metrics('{"step": 1'), "run-metrics-unreadable"),
    "metrics in words": Case(
        metrics('{"step": 1, "data": {"reward/overall/mean": "great"}}'), "run-metrics-unreadable"
    ),
    "a run config that calls": Case(run_config("!!python/object/apply:os.system [id]"), "run-config-unreadable"),
}
