"""The model card (README.md) of a merged model: base model, recipe, reward, results, limits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import yaml

from medix_r1.model_names import is_hub_name
from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder

_UNKNOWN = "unknown"
_MEAN = re.compile(r"(reward|heldout/[^/]+)/(\w+)/mean")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)


def model_card(checkpoint: Path, *, dtype: str, is_adapter: bool = False) -> str:
    """Write the card of RUN/checkpoints/global_step_N from the files of RUN; missing facts are "unknown".

    Args:
        checkpoint: the checkpoint that was merged.
        dtype: of the written weights.
        is_adapter: whether the folder holds only a LoRA adapter.
    """
    run, step = RunFolder(checkpoint.parent.parent), checkpoints.step_of(checkpoint)
    template = (files(__package__) / "model_card.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        _facts(_config_of(run)),
        step=step,
        dtype=dtype,
        kind="A LoRA adapter (PEFT) of a policy" if is_adapter else "A policy",
        library="peft" if is_adapter else "transformers",
        results=_results(run, step),
        version=version("medix-r1"),
    )


def base_model(checkpoint: Path) -> str | None:
    """Path or hub name of the model that the run started from; None when the run's config does not have it."""
    name = _get(_config_of(RunFolder(checkpoint.parent.parent)), "actor_rollout_ref.model.path")
    return None if name == _UNKNOWN else str(name)


def _config_of(run: RunFolder) -> Mapping[str, Any]:
    config = yaml.safe_load(run.config.read_text(encoding="utf-8")) if run.config.is_file() else None
    return config if isinstance(config, dict) else {}


def _facts(config: Mapping[str, Any]) -> dict[str, Any]:
    loss = _get(config, "actor_rollout_ref.actor.policy_loss.loss_mode")
    estimator = _get(config, "algorithm.adv_estimator")
    base = str(_get(config, "actor_rollout_ref.model.path"))
    return {
        "name": _get(config, "run.name"),
        "base": base,
        "base_field": _base_field(base),
        "base_licence": _licence(base),
        "algorithm": estimator if loss in ("vanilla", _UNKNOWN) else f"{estimator} with the {loss} loss",
        "prompts": _get(config, "data.train_batch_size"),
        "samples": _get(config, "actor_rollout_ref.rollout.n"),
        "lr": _get(config, "actor_rollout_ref.actor.optim.lr"),
        "seed": _get(config, "run.seed"),
        "data": _data(_get(config, "data.train_files")),
        "reward": _reward(_get(config, "reward.weights")),
        "judge": _get(config, "judge.client.model"),
        "embedder": _get(config, "embedder.model"),
        "think": _get(config, "reward.think_element"),
    }


def _base_field(base: str) -> str:
    """The card's `base_model` line; empty for a folder, because the hub accepts hub names only."""
    on_hub = "/" in base and is_hub_name(base) and not Path(base).exists()
    return f"base_model: {json.dumps(base)}\n" if on_hub else ""  # a JSON string is a YAML string


def _reward(weights: Any) -> str:
    if not isinstance(weights, Mapping):
        return _UNKNOWN
    return " + ".join(f"{weight} {name}" for name, weight in weights.items())


def _data(names: Any) -> str:
    paths = [Path(str(name)) for name in ([names] if isinstance(names, str) else names)]
    lines = ["| file | fingerprint |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{path}` | {_fingerprint(path)} |" for path in paths)])


def _fingerprint(path: Path) -> str:
    if not path.is_file():
        return "unknown: the file was not there"
    with path.open("rb") as file:
        return f"`{hashlib.file_digest(file, 'sha256').hexdigest()}`"


def _results(run: RunFolder, step: int) -> str:
    """Table of the last means up to a step; held-out sets are not scored at every step."""
    rows: dict[tuple[str, str], tuple[float, int]] = {}
    for at, metrics in run.metrics_by_step().items():
        for key, value in metrics.items():
            if at <= step and (match := _MEAN.fullmatch(key)):
                rows[match[1], match[2]] = (value, at)
    if not rows:
        return "Unknown: the run's metrics were not there."
    lines = [f"| {where} | {name} | {value:.3f} | {at} |" for (where, name), (value, at) in sorted(rows.items())]
    return "\n".join(["| where | signal | mean | step |", "|---|---|---|---|", *lines])


def _licence(base: str) -> str:
    """The licence in the base model's card, if the base model is a local folder."""
    card = Path(base) / "README.md"
    match = _FRONT_MATTER.match(card.read_text(encoding="utf-8")) if card.is_file() else None
    if match is None:
        return "see its own card"
    try:
        fields: Any = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return "see its own card"
    found = fields.get("license") if isinstance(fields, Mapping) else None
    if isinstance(found, Sequence) and not isinstance(found, str):
        found = ", ".join(map(str, found))
    return f"`{found}` by its own card" if found else "see its own card"


def _get(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return _UNKNOWN if node is None else node
