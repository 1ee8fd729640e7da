"""The facts at the head of a report: model, hardware, versions, and config keys that differ from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import read_yaml
from medix_r1.runs import provenance, saved_config
from medix_r1.runs.folder import RunFolder

_OURS = ("run.dir", "trainer.default_local_dir", "trainer.resume_", "ray_kwargs.ray_init._temp_dir")


def facts(run: RunFolder) -> dict[str, str]:
    """Name, machine, versions, code and data of the newest attempt, as text."""
    config = read_yaml(run.config)
    record = provenance.read(run)
    found = {
        "run": f"{config['run']['name']}, seed {config['run']['seed']}, {run.attempts} attempt(s)",
        "model": config["actor_rollout_ref"]["model"]["path"],
        "hardware": "{nnodes} x {n_gpus_per_node} {device}".format(**config["trainer"]),
        "batch": (
            f"{config['data']['train_batch_size']} prompts x {config['actor_rollout_ref']['rollout']['n']} rollouts, "
            f"mini-batches of {config['actor_rollout_ref']['actor']['ppo_mini_batch_size']} prompts"
        ),
        "reward": ", ".join(f"{name} {weight}" for name, weight in config["reward"]["weights"].items()),
    }
    return found | {name: _words(value) for name, value in record.items()}


def differences(run: RunFolder) -> dict[str, tuple[str, str]]:
    """Keys of the run's config that differ from plain `medix-r1 train`: key → (default, value)."""
    mine = dict(_leaves(saved_config.read(run.config)))
    try:
        default = dict(_leaves(_as_plain(configs.compose_train([]))))
    except ConfigError:  # the package has changed since the run; its own values are still shown
        default = {}
    return {
        key: (_words(default.get(key, "-")), _words(value))
        for key, value in sorted(mine.items())
        if default.get(key, "-") != value and not key.startswith(_OURS)
    }


def _as_plain(config: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _leaves(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in configs.flatten(tree) if not isinstance(value, Mapping)]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(entry)}" for key, entry in value.items())
    return ", ".join(map(_words, value)) if isinstance(value, list) else str(value)
