"""Nodes that a choice of files leaves half filled, and folders that stand where files are meant. Changes configs."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from medix_r1.composing import plain
from medix_r1.schema.known import known_keys
from medix_r1.schema.prepared_folders import prepared_shards


def drop_incomplete_server(config: DictConfig) -> None:
    """Set `judge.server` to None where a `placement` gave GPUs to a judge that starts no server."""
    if "judge" in config and config.judge.get("server") is not None and "model" not in config.judge.server:
        config.judge.server = None


def drop_settings_of_removed_signals(config: DictConfig) -> None:
    """Set a signal of ours to None where the reward removed it, and an experiment still sets something of it."""
    whole = plain(config).get("reward", {}).get("signals") or {}
    for name, node in whole.items():
        is_ours = f"reward.signals.{name}._target_" in known_keys()
        if is_ours and isinstance(node, dict) and "_target_" not in node:
            config.reward.signals[name] = None


def open_folders(config: DictConfig) -> None:
    """Replace a prepared folder that stands where files are meant by its shards."""
    if not isinstance(data := config.get("data"), DictConfig):
        return
    for key, split in (("train_files", "train"), ("val_files", "validation")):
        value = None if OmegaConf.is_missing(data, key) else data.get(key)
        names = [value] if isinstance(value, str) else list(value) if isinstance(value, ListConfig) else []
        if any(_is_folder(name) for name in names):
            data[key] = [
                shard for name in names for shard in (prepared_shards(name, split) if _is_folder(name) else [name])
            ]


def _is_folder(name: object) -> bool:
    try:
        return isinstance(name, str) and Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, an unknown ~user, or with a null byte
        return False
