"""May a run folder be continued with this config? Shows every difference and refuses the unsafe ones.

A checkpoint is loaded with pickle, so one that no run of the folder wrote is neither loaded nor deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from medix_r1.config import flatten
from medix_r1.training import checkpoint_folder
from medix_r1.training.run_folder import RunFolder

# Keys that change neither what is learnt nor what is in a checkpoint.
SAFE = (
    "trainer.total_training_steps",
    "trainer.total_epochs",
    "trainer.test_freq",
    "trainer.save_freq",
    "trainer.val_before_train",
    "trainer.logger",
    "run.keep_checkpoints",
    "run.stall_limit",
    "run.silence_limit",
    "run.poll_interval",
    "run.max_refills",
    "judge.server.host",
    "judge.server.start_timeout",
    "judge.server.environment",
    "judge.client.base_url",
    "judge.client.concurrency",
    "judge.client.timeout",
    "judge.client.patience",
    "judge.client.cache_size",
    "judge.client.api_key_env",
    "ray_kwargs",
    "alarms",
    "run.best_metric",
    "run.samples",
    "trainer.v1.sampler.sampler_kwargs.samples.",
    "trainer.v1.sampler.sampler_kwargs.poll_interval",
    "trainer.v1.sampler.sampler_kwargs.stall_limit",
    "trainer.v1.sampler.sampler_kwargs.max_refills",
)
# Set by the launcher itself, or copies of keys that are compared under their own name.
_NOT_SETTINGS = (
    "reward.signals.llm.judge.",
    "ray_kwargs.ray_init._temp_dir",
    "trainer.resume_mode",
    "trainer.resume_from_path",
    "trainer.default_local_dir",
    "trainer.v1.sampler.sampler_kwargs.samples_dir",
    "run.dir",
    "judge.server.port",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One key whose value is not what it was."""

    key: str
    before: Any
    now: Any

    @property
    def safe(self) -> bool:
        return self.key.startswith(SAFE)

    def __str__(self) -> str:
        return f"{self.key}: {self.before!r} -> {self.now!r}"


def problems(folder: RunFolder, config: DictConfig, changed: Sequence[Difference]) -> list[str]:
    """Why this config may not start or go on in this folder; `changed` is what differs from the folder's last one."""
    found = [
        f"{key}: medix-r1 finds the checkpoint in run.dir by itself; leave this key out. To start from the weights of "
        "another run, `medix-r1 merge` that one and give the folder as actor_rollout_ref.model.path."
        for key in ("trainer.resume_mode", "trainer.resume_from_path")
        if OmegaConf.select(config, key) not in (None, "disable")
    ]
    folders = checkpoint_folder.all_folders(folder.checkpoints)
    if folders and not (folder.attempts and folder.config.exists()):
        found.append(
            f"run.dir: {folders[-1]} was not written by a run of this folder, so it is neither loaded nor deleted. "
            "Take another run.dir; to start from its weights, `medix-r1 merge` it first."
        )
    elif folders and not config.trainer.v1.trainer_mode.startswith("medix_"):
        found.append(
            f"run.dir: {folder.root} has checkpoints, and verl's own trainer (trainer.v1.trainer_mode="
            f"{config.trainer.v1.trainer_mode}) marks none as whole, so this run cannot go on. Take another run.dir."
        )
    safe = "; ".join(str(difference) for difference in changed if difference.safe)
    return found + [
        f"{difference}: not safe for a run that has checkpoints; undo it, or take another run.dir"
        + (f" (also changed, harmless: {safe})" if safe else "")
        for difference in changed
        if not difference.safe
    ]


def differences(before: Path, now: DictConfig) -> list[Difference]:
    """Every leaf that differs between a saved config and a new one."""
    old = _leaves(yaml.safe_load(before.read_text(encoding="utf-8")))
    container = OmegaConf.to_container(now, resolve=True)
    assert isinstance(container, dict)
    new = _leaves({str(key): value for key, value in container.items()})
    keys = sorted(key for key in old.keys() | new.keys() if not key.startswith(_NOT_SETTINGS))
    return [Difference(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flatten(config) if not isinstance(value, Mapping)}
