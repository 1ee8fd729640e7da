"""Decides whether a run folder may be continued with a config: lists all differences, refuses unsafe ones.

Loading a checkpoint unpickles it, so one that no run of this folder wrote is neither loaded nor deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medix_r1 import user_code
from medix_r1.config import flatten
from medix_r1.errors import Problem
from medix_r1.runs import checkpoints, provenance, saved_config
from medix_r1.runs.folder import RunFolder

# Keys and whole nodes that affect neither learning nor the contents of a checkpoint.
_SAFE = (
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
    "run.best_metric",
    "run.looking",
    "run.samples",
    "rollout.seeding",
    "judge.client.window",  # of a cascade's estimates
    "judge.client.expected_agreement",
    "judge.server.host",
    "judge.server.start_timeout",
    "judge.server.restarts",
    "judge.server.environment",
    "ray_kwargs",
    "transfer_queue",
    "alarms",
    "placement",
    "reward.num_workers",
    "trainer.project_name",
    "trainer.log_val_generations",
    "trainer.v1.sampler.sampler_kwargs.samples",
    "trainer.v1.sampler.sampler_kwargs.poll_interval",
    "trainer.v1.sampler.sampler_kwargs.stall_limit",
    "trainer.v1.sampler.sampler_kwargs.max_refills",
)
# Keys of a client (any node with a base_url) that say how its server is reached and what it may spend. What the server
# is asked (model, revision, prompt, mode, extra_body, ...) and what decides on masking is not safe.
_TRANSPORT = frozenset(
    {
        *("base_url", "base_urls", "api_key_env"),
        *("concurrency", "batch_size", "timeout", "patience", "unknown_model_patience"),
        *("requests_per_minute", "tokens_per_minute", "price_prompt", "price_completion", "cost_cap"),
        *("cache_size", "cache_path"),  # cache keys hold everything that an answer depends on
    }
)
# Keys of any node below actor_rollout_ref that fit the same computation into memory.
_MEMORY = frozenset(
    {
        *("gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "param_offload", "optimizer_offload"),
        *("ppo_max_token_len_per_gpu", "ppo_infer_max_token_len_per_gpu", "log_prob_max_token_len_per_gpu"),
        *("ppo_micro_batch_size_per_gpu", "log_prob_micro_batch_size_per_gpu"),
    }
)
# Set by the launcher itself.
_NOT_SETTINGS = (
    "ray_kwargs.ray_init._temp_dir",
    "trainer.resume_mode",
    "trainer.resume_from_path",
    "trainer.default_local_dir",
    "trainer.v1.sampler.sampler_kwargs.samples_dir",
    "run.dir",
    "judge.server.port",
)
# Keys that older runs lack, each with the value that describes how those runs behaved.
_BEFORE_THE_KEY = {
    "reward.confidence": "none",
    "rollout.seeding": "rollout",
    "looking_loss.bound": 2.0,
    "looking_loss.coefficient": 0.0,
    "looking_loss.entropy": 0.0,
    "run.looking.kinds": ["shuffled", "blank"],
    "run.looking.share": 0.0,
    "run.samples.tokens": False,
    "data.curriculum.weigh": "none",
    "data.curriculum.signal": "llm",
    "data.curriculum.floor": 0.1,
    "data.curriculum.strength": 8,
    "data.curriculum.memory": 0.5,
}
_DATA = ("data.train_files", "data.val_files")
SAME_DATA = "the same data, by its fingerprint"
OTHER_DATA = "other data, by its fingerprint"
NOT_RECORDED = "cannot be compared: the run recorded no fingerprint of its data"


@dataclass(frozen=True, slots=True)
class Difference:
    """One changed key; `safe` if a run may resume with it, `note` adds what the values do not show."""

    key: str
    before: Any
    now: Any
    safe: bool = False
    note: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.values}"

    @property
    def values(self) -> str:
        """Old and new value."""
        return f"{self.before!r} -> {self.now!r}" + (f" ({self.note})" if self.note else "")


def problems(folder: RunFolder, config: DictConfig, changed: Sequence[Difference]) -> list[Problem]:
    """Why this config may not start or resume in this folder; `changed`: differences to the folder's last config."""
    found = [
        Problem(
            key,
            "set-by-the-launcher",
            "medix-r1 finds the checkpoint in run.dir by itself; leave this key out. To start from the weights of "
            "another run, `medix-r1 merge` that one and give the folder as actor_rollout_ref.model.path.",
        )
        for key in ("trainer.resume_mode", "trainer.resume_from_path")
        if OmegaConf.select(config, key) not in (None, "disable")
    ]
    folders = checkpoints.all_folders(folder.checkpoints)
    if folders and not (folder.attempts and folder.config.exists()):
        found.append(
            Problem(
                "run.dir",
                "foreign-checkpoint",
                f"{folders[-1]} was not written by a run of this folder, so it is neither loaded nor deleted. "
                "Take another run.dir; to start from its weights, `medix-r1 merge` it first.",
            )
        )
    elif folders and not config.trainer.v1.trainer_mode.startswith("medix_"):
        found.append(
            Problem(
                "run.dir",
                "unmarked-checkpoints",
                f"{folder.root} has checkpoints, and verl's own trainer (trainer.v1.trainer_mode="
                f"{config.trainer.v1.trainer_mode}) marks none as whole, so this run cannot go on. Take another "
                "run.dir.",
            )
        )
    refused = [
        Problem(
            difference.key,
            "not-safe-to-change",
            f"{difference.values}: not safe for a run that has checkpoints; undo it, or take another run.dir",
        )
        for difference in changed
        if not difference.safe
    ]
    if checkpoints.latest(folder.checkpoints):
        named = {difference.key for difference in changed}
        refused += [problem for key in _DATA if key not in named for problem in _exchanged_data(folder, config, key)]
    safe = "; ".join(str(difference) for difference in changed if difference.safe)
    if refused and safe:
        refused[-1] = refused[-1].and_also(f"also changed, harmless: {safe}")
    return found + refused


def _exchanged_data(folder: RunFolder, config: DictConfig, key: str) -> list[Problem]:
    """A problem if the data at unchanged paths is not what the run recorded."""
    recorded = provenance.read(folder).get("data", {}).get(key.rpartition(".")[2])
    same, says = _same_data(recorded, _plain(config, key))
    if same or not recorded:
        return []
    return [Problem(key, "other-data", f"{says}; put back what was there, or take another run.dir")]


def _plain(config: DictConfig, key: str) -> Any:
    value = OmegaConf.select(config, key)
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def differences(before: Path, now: DictConfig) -> list[Difference]:
    """Every leaf that differs between the config saved in a run's folder and a new one."""
    saved = saved_config.read(before)
    container = OmegaConf.to_container(now, resolve=True)
    assert isinstance(container, dict)
    old, new = _nodes(saved), _nodes(user_code.changed(container, user_code.identity))
    clients = {key.rpartition(".")[0] for key in old.keys() | new.keys() if key.endswith(".base_url")}
    left_out = (*_NOT_SETTINGS, *(_copies(old) & _copies(new)))
    alarms = [key for key in new.keys() - old.keys() if key.count(".") == 1 and key.startswith("alarms.")]  # new ones
    record = provenance.read(RunFolder(before.parent))
    # Started → remote is safe (the model's name is still checked); remote → started may change the model.
    moved = isinstance(old.get("judge.server"), dict) and not isinstance(new.get("judge.server"), dict)
    found = []
    for key in sorted(old.keys() | new.keys()):
        was, value = _leaf(old, key) if key in old else _BEFORE_THE_KEY.get(key), _leaf(new, key)
        if was == value or _below(key, left_out) or _below(key, alarms):
            continue
        node, _, name = key.rpartition(".")
        safe, note = _below(key, _SAFE) or (node in clients and name in _TRANSPORT), ""
        safe |= node.startswith("actor_rollout_ref.") and name in _MEMORY
        safe |= moved and _below(key, ["judge.server"])
        safe |= _is_of_new_monitor(key, old, new)
        if key in _DATA:
            safe, note = _same_data(record.get("data", {}).get(name), value)
        found.append(Difference(key, was, value, safe, note))
    return found


def _nodes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key → value, inner nodes included; a list of nodes (`judges`) is keyed by number."""
    return dict(flatten(_numbered(config)))


def _leaf(nodes: Mapping[str, Any], key: str) -> Any:
    value = nodes.get(key)
    return None if isinstance(value, dict) else value


def _numbered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _numbered(entry) for key, entry in value.items()}
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        return {str(number): _numbered(entry) for number, entry in enumerate(value)}
    return value


def _copies(nodes: Mapping[str, Any]) -> set[str]:
    """Keys of interpolated copies of judge and embedder in signals; they are compared under their own keys."""
    own = [node for key in ("judge.client", "embedder") if isinstance(node := nodes.get(key), dict)]
    return {key for key, node in nodes.items() if key.startswith("reward.signals.") and node in own}


def _is_of_new_monitor(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a key belongs to a signal that the run did not have and that only watches: no weight, no gate."""
    if not key.startswith("reward.signals."):
        return False
    name = key.split(".")[2]
    if f"reward.signals.{name}" in old or new.get("reward.gate") == name:
        return False
    tables = (node for node in new if node == "reward.weights" or node.startswith("reward.weight_tables."))
    return not any(isinstance(new[node], dict) and name in new[node] for node in tables)


def _below(key: str, names: Iterable[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _same_data(recorded: Sequence[Mapping[str, Any]] | None, files: Any) -> tuple[bool, str]:
    """Whether these files hold, in the same order, the data that the run recorded; and a note that says so."""
    if not recorded:
        return False, NOT_RECORDED
    try:
        found = [provenance.fingerprint(Path(name)) for name in (files if isinstance(files, list) else [files])]
    except (OSError, TypeError, ValueError) as error:  # missing, null, or no parquet file
        return False, f"cannot be compared: {error}"
    same = [_content(file) for file in found] == [_content(file) for file in recorded]
    return same, SAME_DATA if same else OTHER_DATA


def _content(fingerprint: Mapping[str, Any]) -> tuple[Any, Any]:
    return fingerprint["rows"], fingerprint["sha256"]
