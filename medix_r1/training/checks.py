"""What is looked at before anything loads: every problem of a run in one list, each with its key and the fix."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
from omegaconf import DictConfig, ListConfig

from medix_r1 import config as configs
from medix_r1.rewards.build import reward_problems
from medix_r1.serving.checks import embedder_problems, judge_problems
from medix_r1.training import arithmetic

GIB = 1024**3
# Seen on the nano model: nearly all of it is torch and vLLM imported once in each process.
CPU_RUN_MEMORY = 9 * GIB
CPU_RANK_MEMORY = 2 * GIB
SHARED_MEMORY = 1.5 * GIB
_MOST_OF_A_GPU = 0.7  # for vLLM and a judge on the same one; the actor's update needs the rest


def problems(config: DictConfig) -> list[str]:
    """All problems of a composed training config, in the order of the file."""
    if missing := configs.missing_keys(config):
        return missing  # the checks below would only repeat it
    checks = (
        *(_reward, _batches, _limits, _placement, _data, _model),
        *(judge_problems, embedder_problems, _trackers, _machine),
    )
    return [problem for check in checks for problem in check(config)]


def _reward(config: DictConfig) -> Iterator[str]:
    yield from reward_problems(config.reward)
    if not isinstance(config.reward.num_workers, int) or config.reward.num_workers < 1:
        yield f"reward.num_workers: {config.reward.num_workers} is no number of workers; use at least 1"
    if config.algorithm.adv_estimator == "medix_gdpo" and (
        config.reward.gate or any(config.reward.weight_tables.values())
    ):
        yield "algorithm: gdpo weighs the parts itself and knows no reward.gate and no weight_tables; drop them"
    signal = config.trainer.v1.sampler.sampler_kwargs.filter.signal
    signals = [name for name, node in config.reward.signals.items() if node is not None]
    if signal is not None and signal not in signals:
        known = ", ".join(signals)
        yield f"algorithm.filter_groups.metric: the reward has no signal '{signal}'; known: {known}"


def _batches(config: DictConfig) -> Iterator[str]:
    rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
    batch = arithmetic.of_config(config)
    instead = f"; for example {next(batch.suggestions())}" if not batch.divides else ""
    if rollout.n < 2:
        yield f"actor_rollout_ref.rollout.n: a group of {rollout.n} has no advantage; use at least 2"
    if config.data.train_batch_size % actor.ppo_mini_batch_size:
        yield (
            f"actor_rollout_ref.actor.ppo_mini_batch_size: {actor.ppo_mini_batch_size} prompts do not divide "
            f"data.train_batch_size={config.data.train_batch_size}{instead}"
        )
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    if (rows := actor.ppo_mini_batch_size * rollout.n) % ranks:
        yield (
            f"actor_rollout_ref.actor.ppo_mini_batch_size: {actor.ppo_mini_batch_size} prompts x {rollout.n} rollouts "
            f"= {rows} rows do not divide among {ranks} ranks{instead}"
        )
    if config.trainer.n_gpus_per_node % rollout.tensor_model_parallel_size:
        yield (
            f"actor_rollout_ref.rollout.tensor_model_parallel_size: {rollout.tensor_model_parallel_size} does not "
            f"divide trainer.n_gpus_per_node={config.trainer.n_gpus_per_node}"
        )
    needed = config.data.max_prompt_length + config.data.max_response_length
    if rollout.max_model_len is not None and rollout.max_model_len < needed:
        yield (
            f"actor_rollout_ref.rollout.max_model_len: {rollout.max_model_len} is less than data.max_prompt_length + "
            f"data.max_response_length = {needed}"
        )
    longest = rollout.max_model_len or math.inf
    if not rollout.enable_chunked_prefill and rollout.max_num_batched_tokens < longest:
        found = rollout.max_model_len or "null, hence the model's own limit,"
        yield (
            f"actor_rollout_ref.rollout.max_model_len: {found} is more than max_num_batched_tokens="
            f"{rollout.max_num_batched_tokens}, which vLLM refuses without chunked prefill; use {needed} for both"
        )


def _limits(config: DictConfig) -> Iterator[str]:
    """Of several limits the one whose message says most must come first: the judge's, the rollouts', the run's."""
    silence, stall = config.run.silence_limit, config.run.stall_limit
    if silence <= stall:
        yield f"run.silence_limit: {silence} s is not more than run.stall_limit={stall}; use at least {2 * stall}"
    client = config.judge.client or {}
    voters = [client, *client.get("judges", ())]
    patience = max((voter["patience"] for voter in voters if "patience" in voter), default=0)
    if stall <= patience:
        least = 2 * patience
        yield f"run.stall_limit: {stall} s is not more than judge.client.patience={patience}; use at least {least}"


def _placement(config: DictConfig) -> Iterator[str]:
    """Judge and trainer on one GPU: allowed only where `placement=shared` divides its memory."""
    place, rollout = config.placement, config.actor_rollout_ref.rollout
    if config.trainer.device == "cpu":
        return
    if place.judge in ("own_gpus", "shared") and config.judge.server is None:
        yield f"placement: {place.judge} is for a judge that this run starts; use judge=vllm, or placement=address"
    if place.judge == "beside" and config.judge.server is not None:
        yield (
            "placement: the judge would start on GPU 0, where the trainer is; choose placement=own_gpus, "
            "placement=shared, or judge=remote with an address"
        )
    trained = range(config.trainer.n_gpus_per_node)
    both = sorted(set(place.judge_gpus) & set(trained))
    if place.judge == "own_gpus" and both:
        yield f"placement.judge_gpus: {both} train as well (trainer.n_gpus_per_node={len(trained)}); use other numbers"
    share = rollout.gpu_memory_utilization + (place.judge_memory or 0.0)
    if place.judge == "shared" and share > _MOST_OF_A_GPU:
        yield (
            f"placement.judge_memory: {place.judge_memory} and rollout.gpu_memory_utilization="
            f"{rollout.gpu_memory_utilization} leave the actor {1 - share:.0%} of a GPU; keep their sum at most "
            f"{_MOST_OF_A_GPU}"
        )


def _data(config: DictConfig) -> Iterator[str]:
    for key in ("train_files", "val_files"):
        value = config.data[key]
        for name in value if isinstance(value, ListConfig) else [value]:
            if not Path(name).expanduser().is_file():
                hint = "; build the demo first: medix-r1 demo build" if "demo_dir" in config else ""
                yield f"data.{key}: {name} does not exist{hint}"


def _model(config: DictConfig) -> Iterator[str]:
    path = config.actor_rollout_ref.model.path
    folder = Path(path).expanduser()
    if "smolvlm" in path.lower() or _model_type(folder) == "smolvlm":
        yield (
            f"actor_rollout_ref.model.path: verl 0.9.1 cannot load the processor of {path} and would train without the "
            "images; choose another model (docs/models.md)"
        )
    if config.actor_rollout_ref.actor.freeze_vision_tower and config.actor_rollout_ref.actor.strategy != "fsdp2":
        yield "actor_rollout_ref.actor.freeze_vision_tower: works with actor.strategy=fsdp2 only"
    looks_local = path.startswith(("/", "./", "../", "~")) or path.count("/") > 1
    if not folder.is_dir():
        if looks_local:
            hint = "; build the demo first: medix-r1 demo build" if "demo_dir" in config else ""
            yield f"actor_rollout_ref.model.path: {path} does not exist{hint}"
        return
    if not (folder / "config.json").is_file():
        yield f"actor_rollout_ref.model.path: {path} has no config.json"
    if code := sorted(file.name for file in folder.glob("*.py")):
        yield f"actor_rollout_ref.model.path: {path} holds code ({', '.join(code)}), which verl would run; remove it"
    for name in ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file() and '"auto_map"' in (folder / name).read_text(encoding="utf-8"):
            yield f"actor_rollout_ref.model.path: {path}/{name} names code in auto_map, which verl would run; remove it"


def _model_type(folder: Path) -> str | None:
    try:
        kind: str | None = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        return None
    return kind


def _trackers(config: DictConfig) -> Iterator[str]:
    loggers = config.trainer.logger
    if "file" not in (loggers if isinstance(loggers, ListConfig) else [loggers]):
        yield "trainer.logger: keep `file` in the list; the progress view reads it"
    if "wandb" in loggers and not os.environ.get("WANDB_API_KEY") and os.environ.get("WANDB_MODE") != "offline":
        yield "trainer.logger: wandb needs WANDB_API_KEY in the environment (or WANDB_MODE=offline)"


def _cluster(config: DictConfig) -> Iterator[str]:
    """Several nodes, and workers that start in another folder than this command."""
    if config.ray_kwargs.ray_init.address is None:
        if config.trainer.nnodes > 1:
            yield (
                f"ray_kwargs.ray_init.address: trainer.nnodes={config.trainer.nnodes} needs a Ray cluster that runs "
                "already; give its HOST:PORT (docs/clusters.md; scripts/slurm/nodes.sbatch does it)"
            )
        return
    data, model = config.data, config.actor_rollout_ref.model.path
    named = {
        key: value if isinstance(value, ListConfig) else [value]
        for key, value in {"data.train_files": data.train_files, "data.val_files": data.val_files}.items()
    } | {"actor_rollout_ref.model.path": [model] if Path(model).is_dir() else []}
    for key, paths in named.items():
        for path in paths:
            if not Path(path).is_absolute():
                yield f"{key}: {path} is relative, but workers of a running Ray cluster start elsewhere; give it whole"


def _machine(config: DictConfig) -> Iterator[str]:
    if (keep := config.run.keep_checkpoints) is not None and keep < 1:
        yield f"run.keep_checkpoints: {keep} would keep none; use at least 1, or null to keep all"
    folder = Path(config.run.dir).expanduser().absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield f"run.dir: {existing} cannot be written to"
    elif (free := shutil.disk_usage(existing).free) < GIB:
        yield f"run.dir: only {free / GIB:.1f} GiB are free on the disk of {existing}; at least 1 GiB is needed"
    yield from _cluster(config)
    if config.trainer.device != "cpu":
        return
    needed = CPU_RUN_MEMORY + CPU_RANK_MEMORY * config.trainer.n_gpus_per_node
    if (available := psutil.virtual_memory().available) < needed:
        yield (
            f"hardware: {available / GIB:.1f} GiB of memory are available; a CPU run with "
            f"{config.trainer.n_gpus_per_node} ranks takes about {needed / GIB:.0f} GiB"
        )
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free) < SHARED_MEMORY:
        yield f"/dev/shm: {free / GIB:.1f} GiB are free, {SHARED_MEMORY / GIB:.1f} needed (docker: --shm-size=4g)"
