"""The model card (README.md) of a merged model: base model, recipe, reward, results, limits."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import yaml

from medix_r1.errors import CheckpointError
from medix_r1.host.yaml_text import parse_yaml, read_yaml
from medix_r1.model_names import is_hub_name
from medix_r1.runs import checkpoints, provenance
from medix_r1.runs.folder import RunFolder
from medix_r1.serving.composed_judges import members
from medix_r1.untrusted import one_line

_UNKNOWN = "unknown"
_MEAN = re.compile(r"(reward|heldout/[^/]+)/(\w+)/mean")
_LARGEST = {".yaml": 16_000_000, ".json": 64_000_000, ".jsonl": 2_000_000_000}  # bytes of a run's files
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)


def model_card(checkpoint: Path, *, dtype: str, is_adapter: bool = False) -> str:
    """Write the card of RUN/checkpoints/global_step_N from the files of RUN; missing facts are "unknown".

    Args:
        checkpoint: the checkpoint that was merged.
        dtype: of the written weights.
        is_adapter: whether the folder holds only a LoRA adapter.
    """
    run = RunFolder(checkpoint.parent.parent)
    step = checkpoints.step_of(checkpoint) if checkpoints.is_checkpoint_name(checkpoint.name) else None
    template = (files(__package__) / "model_card.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        _facts(_config_of(run), run),
        step=_UNKNOWN if step is None else step,
        dtype=dtype,
        kind="A LoRA adapter (PEFT) of a policy" if is_adapter else "A policy",
        library="peft" if is_adapter else "transformers",
        results=_results(run, step),
        version=version("medix-r1"),
    )


def base_model(checkpoint: Path) -> str | None:
    """The model that the run started from: a hub name, or a path that is good from any folder.

    None when the run's config does not have it.
    """
    run = RunFolder(checkpoint.parent.parent)
    name = _text(_get(_config_of(run), "actor_rollout_ref.model.path"))
    if name == _UNKNOWN:
        return None
    path = _located(name, run)
    return str(path.resolve()) if path.exists() else name


def _config_of(run: RunFolder) -> Mapping[str, Any]:
    try:
        config = read_yaml(run.config) if _is_readable(run.config) else None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{run.config}: not readable: {reason}", code="run-config-unreadable") from None
    return config if isinstance(config, dict) else {}


def _is_readable(path: Path) -> bool:
    """Whether a file of the run is there; whoever sent the run may have written it.

    Raises:
        CheckpointError: it is no regular file (a pipe never ends), or larger than any such file.
    """
    if not path.exists():
        return False
    if not path.is_file() or path.stat().st_size > _LARGEST[path.suffix]:
        raise CheckpointError(f"{path}: no regular file, or larger than any run writes it", code="run-file-unreadable")
    return True


def _located(name: str, run: RunFolder) -> Path:
    """A path of a run's config, which may be relative to the folder where the run was started."""
    _is_readable(run.root / provenance.FILE)
    try:
        started = provenance.read(run).get("directory")
    except (ValueError, AttributeError, RecursionError):
        raise CheckpointError(
            f"{run.root}: its provenance.json is not readable", code="run-config-unreadable"
        ) from None
    root = run.root.absolute()
    starts = [Path(started)] if isinstance(started, str) else [root, *root.parents]  # an older run has no record
    return next((path for start in starts if (path := start / name).exists()), Path(name))


def _facts(config: Mapping[str, Any], run: RunFolder) -> dict[str, Any]:
    loss = _get(config, "actor_rollout_ref.actor.policy_loss.loss_mode")
    estimator = _get(config, "algorithm.adv_estimator")
    base = _text(_get(config, "actor_rollout_ref.model.path"))
    facts = {
        "name": _get(config, "run.name"),
        "base": base,
        "algorithm": estimator if loss in ("vanilla", _UNKNOWN) else f"{_text(estimator)} with the {_text(loss)} loss",
        "prompts": _get(config, "data.train_batch_size"),
        "samples": _get(config, "actor_rollout_ref.rollout.n"),
        "lr": _get(config, "actor_rollout_ref.actor.optim.lr"),
        "seed": _get(config, "run.seed"),
        "reward": _reward(_get(config, "reward.weights")),
        "judge": " and ".join(_judges(config)) or _UNKNOWN,
        "embedder": _get(config, "embedder.model"),
        "think": _get(config, "reward.think_element"),
    }
    written = {key: _cell(value) for key, value in facts.items()}
    place = _located(base, run)
    return written | {
        "base_field": _base_field(base, place),
        "base_licence": _licence(place),
        "data": _data(_get(config, "data.train_files"), run),
    }


def _judges(config: Mapping[str, Any]) -> list[str]:
    """Names of the judge's model, or of those of a vote or a cascade."""
    client = _get(config, "judge.client")
    try:
        found = members(client if isinstance(client, Mapping) else None)
        return list(dict.fromkeys(_text(one["model"]) for _, one in found if one.get("model") is not None))
    except (AttributeError, TypeError, ValueError, RecursionError):  # not as a run writes it
        return []


def _text(value: object) -> str:
    """A value of the config; a list or mapping, which aliases may make endless when written out, is unknown."""
    return _UNKNOWN if isinstance(value, list | Mapping) else str(value)


def _cell(value: object) -> str:
    """A fact in a cell or a code span of the card: on one line, and without what would end either."""
    return html.escape(one_line(_text(value)), quote=False).replace("`", "'").replace("|", "\\|")


def _base_field(base: str, place: Path) -> str:
    """The card's `base_model` line; empty for a folder, because the hub accepts hub names only."""
    on_hub = "/" in base and is_hub_name(base) and not place.exists()
    return f"base_model: {json.dumps(base)}\n" if on_hub else ""  # a JSON string is a YAML string


def _reward(weights: Any) -> str:
    if not isinstance(weights, Mapping):
        return _UNKNOWN
    return " + ".join(f"{_text(weight)} {_text(name)}" for name, weight in weights.items())


def _data(names: Any, run: RunFolder) -> str:
    listed = [_text(name) for name in (names if isinstance(names, list) else [names])]
    lines = ["| file | fingerprint |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{_cell(name)}` | {_fingerprint(_located(name, run))} |" for name in listed)])


def _fingerprint(path: Path) -> str:
    if not path.is_file():
        return "unknown: the file was not there"
    with path.open("rb") as file:
        return f"`{hashlib.file_digest(file, 'sha256').hexdigest()}`"


def _results(run: RunFolder, step: int | None) -> str:
    """Table of the last means up to a step; held-out sets are not scored at every step."""
    rows: dict[tuple[str, str], tuple[float, int]] = {}
    for path in run.root.glob("metrics/attempt_*.jsonl"):
        _is_readable(path)
    try:
        for at, metrics in run.metrics_by_step().items():
            for key, value in metrics.items():
                if (step is None or at <= step) and (match := _MEAN.fullmatch(key)):
                    rows[match[1], match[2]] = (float(value), at)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{run.root / 'metrics'}: not readable: {error}", code="run-metrics-unreadable") from None
    if not rows:
        return "Unknown: the run's metrics were not there."
    lines = [f"| {where} | {name} | {value:.3f} | {at} |" for (where, name), (value, at) in sorted(rows.items())]
    return "\n".join(["| where | signal | mean | step |", "|---|---|---|---|", *lines])


def _licence(base: Path) -> str:
    """The licence in the base model's card, if the base model is a local folder."""
    card = base / "README.md"
    match = _FRONT_MATTER.match(card.read_text("utf-8", "replace")) if card.is_file() else None
    if match is None:
        return "see its own card"
    try:
        fields: Any = parse_yaml(match[1])
    except yaml.YAMLError:
        return "see its own card"
    found = fields.get("license") if isinstance(fields, Mapping) else None
    if isinstance(found, Sequence) and not isinstance(found, str):
        found = ", ".join(map(str, found))
    return f"`{_cell(found)}` by its own card" if found else "see its own card"


def _get(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return _UNKNOWN if node is None else node
