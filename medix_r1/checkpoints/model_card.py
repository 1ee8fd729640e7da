"""The README.md of a merged model: what it comes from, what it was rewarded for, what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import yaml

from medix_r1.training import checkpoint_folder

_UNKNOWN = "unknown"


def model_card(checkpoint: Path) -> str:
    """Describe the model of RUN/checkpoints/global_step_N out of RUN/config.yaml; what that does not say is unknown."""
    template = (files(__package__) / "model_card.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        _facts(_config_of(checkpoint)), step=checkpoint_folder.step_of(checkpoint), version=version("medix-r1")
    )


def _config_of(checkpoint: Path) -> Mapping[str, Any]:
    file = checkpoint.parent.parent / "config.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    return config if isinstance(config, dict) else {}


def _facts(config: Mapping[str, Any]) -> dict[str, Any]:
    loss = _get(config, "actor_rollout_ref.actor.policy_loss.loss_mode")
    estimator = _get(config, "algorithm.adv_estimator")
    return {
        "name": _get(config, "run.name"),
        "base": _get(config, "actor_rollout_ref.model.path"),
        "algorithm": estimator if loss in ("vanilla", _UNKNOWN) else f"{estimator} with the {loss} loss",
        "prompts": _get(config, "data.train_batch_size"),
        "samples": _get(config, "actor_rollout_ref.rollout.n"),
        "lr": _get(config, "actor_rollout_ref.actor.optim.lr"),
        "seed": _get(config, "run.seed"),
        "data": _get(config, "data.train_files"),
        "reward": _reward(_get(config, "reward.weights")),
        "judge": _get(config, "judge.client.model"),
        "embedder": _get(config, "embedder.model"),
        "think": _get(config, "reward.think_element"),
    }


def _reward(weights: Any) -> str:
    if not isinstance(weights, Mapping):
        return _UNKNOWN
    return " + ".join(f"{weight} {name}" for name, weight in weights.items())


def _get(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return _UNKNOWN if node is None else node
