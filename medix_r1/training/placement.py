"""Where a run's parts stand: judge and trainer on one GPU, several nodes, addresses that only one node can reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from medix_r1.serving.address import is_loopback

_MOST_OF_A_GPU = 0.7  # for vLLM and a judge on the same one; the actor's update needs the rest
_STARTED_BY_THE_RUN = ("own_gpus", "shared")
_ELSEWHERE = ("own_node", "address", "inside_verl")


def placement_problems(config: DictConfig) -> Iterator[str]:
    """Judge and trainer on one GPU: allowed only where `placement=shared` divides its memory."""
    place, rollout = config.placement, config.actor_rollout_ref.rollout
    started = config.judge.server is not None
    if place.judge in _ELSEWHERE and started:
        yield (
            f"placement.judge: {place.judge} says that the judge runs elsewhere, but judge.server would start one "
            "here, on GPU 0 where the trainer is; use judge=remote with judge.client.base_url (inside verl: "
            "judge=verl), or placement=own_gpus"
        )
    if config.trainer.device == "cpu":
        return
    if place.judge in _STARTED_BY_THE_RUN and not started:
        yield (
            f"placement.judge: {place.judge} is for a judge that this run starts; use judge=vllm, or placement=address"
        )
        return
    if place.judge == "beside" and started:
        yield (
            "placement.judge: the judge would start on GPU 0, where the trainer is; choose placement=own_gpus, "
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


def cluster_problems(config: DictConfig) -> Iterator[str]:
    """Several nodes, and workers that start in another folder and on another machine than this command."""
    cluster = config.ray_kwargs.ray_init.address
    if cluster is None:
        if config.trainer.nnodes > 1:
            yield (
                f"ray_kwargs.ray_init.address: trainer.nnodes={config.trainer.nnodes} needs a Ray cluster that runs "
                "already; give its HOST:PORT (docs/clusters.md; scripts/slurm/nodes.sbatch does it)"
            )
        return
    if not is_loopback(f"//{cluster}"):  # else every node of it is this machine
        yield from _loopback_problems(config)
    data, model = config.data, config.actor_rollout_ref.model.path
    named = {
        key: value if isinstance(value, ListConfig) else [value]
        for key, value in {"data.train_files": data.train_files, "data.val_files": data.val_files}.items()
    } | {"actor_rollout_ref.model.path": [model] if Path(model).is_dir() else []}
    for key, paths in named.items():
        for path in paths:
            if not Path(path).is_absolute():
                yield f"{key}: {path} is relative, but workers of a running Ray cluster start elsewhere; give it whole"


def _loopback_problems(config: DictConfig) -> Iterator[str]:
    """Workers that score may run on any node of the cluster, where a loopback address leads to that node itself."""
    client = config.judge.client or {}
    judges = [("judge.client", client)]
    judges += [(f"judge.client.judges[{i}]", member) for i, member in enumerate(client.get("judges", ()))]
    for key, node in [*judges, ("embedder", config.embedder)]:
        for address in [node.get("base_url"), *node.get("base_urls", ())]:
            if address is not None and is_loopback(address):
                hint = "; and judge.server.host=0.0.0.0 with a judge.server.port" if config.judge.server else ""
                yield (
                    f"{key}.base_url: {address} leads every node of the Ray cluster to itself, and what scores may run "
                    f"on any; give an address that all nodes reach{hint if key == 'judge.client' else ''}"
                )
