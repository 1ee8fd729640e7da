"""Resolvers of a config for folders that `medix-r1 data prepare` wrote: their shards, also by shares, and their limit.

Nothing but errors.py is imported, because every config may name such folders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import ListConfig

from medix_r1.errors import ConfigError

_MOST_TIMES = 100  # a folder's rows in an epoch
_NEAR_ENOUGH = 0.02  # between a share that is asked for and one that whole repetitions give
Folders = str | Sequence[str] | Mapping[str, float]


def prepared_shards(folder: Folders, split: str) -> ListConfig:
    """Resolver `${shards:FOLDER,SPLIT}`: the parquet shards that `medix-r1 data prepare` wrote, in order.

    Paths are absolute, because workers of an existing Ray cluster have another working directory. Without any shard it
    returns the first shard's name, and the preflight checks then report that this file does not exist.

    Args:
        folder: a folder, several, or the share of each in the training rows.
        split: train or validation. The rows of validation come once, whatever the shares.

    Raises:
        ConfigError: shares are not numbers above 0, or need more repetitions than are sensible.
    """
    if isinstance(folder, str):
        return ListConfig(_shards(folder, split))
    times = _times(folder) if isinstance(folder, Mapping) and split == "train" else dict.fromkeys(folder, 1)
    return ListConfig([shard for name, count in times.items() for shard in _shards(name, split) * count])


def prompt_tokens_of(folder: Folders) -> int:
    """Resolver `${prompt_tokens_of:FOLDER}`: the longest prompt that the folders were prepared for, in tokens."""
    names = [folder] if isinstance(folder, str) else list(folder)
    limits = [_manifest(name).get("plan", {}).get("options", {}).get("max_prompt_tokens", 4352) for name in names]
    return int(max(limits, default=4352))


def _shards(folder: str, split: str) -> list[str]:
    root = Path(folder).expanduser().absolute()
    found = sorted(str(path) for path in root.glob(f"{split}-*.parquet"))
    return found or [str(root / f"{split}-00000.parquet")]


def _manifest(folder: str) -> dict[str, Any]:
    path = Path(folder).expanduser() / "manifest.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _times(shares: Mapping[str, float]) -> dict[str, int]:
    """How often each folder's rows come in an epoch, so that they have these shares of it."""
    if not all(isinstance(share, int | float) and share > 0 for share in shares.values()):
        says = f"shares have to be numbers above 0, not {dict(shares)}"
        raise ConfigError.of("data.folder", "wrong-share", says)
    rows = {name: int(_manifest(name).get("counts", {}).get("train", 0)) for name in shares}
    if missing := [name for name, count in rows.items() if not count]:
        says = f"{', '.join(missing)} holds no prepared training rows, so it can have no share"
        raise ConfigError.of("data.folder", "not-prepared", says)
    weights = {name: share / rows[name] for name, share in shares.items()}
    least, total = min(weights.values()), sum(shares.values())
    for scale in range(1, _MOST_TIMES + 1):
        times = {name: max(1, round(weight / least * scale)) for name, weight in weights.items()}
        epoch = sum(times[name] * rows[name] for name in shares)
        errors = [abs(times[name] * rows[name] / epoch - share / total) for name, share in shares.items()]
        if max(times.values()) <= _MOST_TIMES and max(errors) <= _NEAR_ENOUGH:
            return times
    raise ConfigError.of(
        "data.folder",
        "wrong-share",
        f"with {rows} rows, these shares need rows to come more than {_MOST_TIMES} times in an epoch; choose shares "
        "nearer to the numbers of rows",
    )
