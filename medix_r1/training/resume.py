"""May a run folder be continued with this config? Shows every difference and refuses the unsafe ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from medix_r1.config import flatten

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
