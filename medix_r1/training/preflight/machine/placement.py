"""Checks placement: judge and trainer on the same GPU, several nodes, addresses that only one node can reach."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.serving.address import is_loopback
from medix_r1.serving.checks import members
from medix_r1.training.preflight.rows.batches import data_files

_MOST_OF_A_GPU = 0.7  # for vLLM and a judge together; the actor's update needs the rest
_STARTED_BY_THE_RUN = ("own_gpus", "shared")
_RAY_KEYWORDS = ("auto", "local")  # this machine's cluster, a new cluster here
_ELSEWHERE = ("own_node", "address", "inside_verl")


def placement_problems(config: DictConfig) -> Iterator[Problem]:
    """Judge and trainer on one GPU: allowed only where `placement=shared` divides its memory."""
    place = config.placement
    started = config.judge.server is not None
    if place.judge in _ELSEWHERE and started:
        yield Problem(
            "placement.judge",
            "judge-started-here",
            f"{place.judge} says that the judge runs elsewhere, but judge.server would start one "
            "here, on GPU 0 where the trainer is; use judge=remote with judge.client.base_url (inside verl: "
            "judge=verl), or placement=own_gpus",
        )
    if config.trainer.device == "cpu":
        return
    if place.judge in _STARTED_BY_THE_RUN and not started:
        yield Problem(
            "placement.judge",
            "no-judge-to-place",
            f"{place.judge} is for a judge that this run starts; use judge=vllm, or placement=address",
        )
    elif place.judge in _STARTED_BY_THE_RUN:
        yield from _gpu_problems(config)
        yield from _memory_problems(config)
    elif place.judge == "beside" and started:
        yield Problem(
            "placement.judge",
            "judge-beside-trainer",
            "the judge would start on GPU 0, where the trainer is; choose placement=own_gpus, "
            "placement=shared, or judge=remote with an address",
        )


def _gpu_problems(config: DictConfig) -> Iterator[Problem]:
    place, trained = config.placement, range(config.trainer.n_gpus_per_node)
    own = place.judge == "own_gpus"
    if not place.judge_gpus:
        yield Problem(
            "placement.judge_gpus",
            "no-gpu-for-judge",
            f"{place.judge_gpus} gives the judge no GPU to start on; name at least one, as in "
            f"placement.judge_gpus=[{len(trained) if own else 0}]",
        )
    elif len(set(place.judge_gpus)) < len(place.judge_gpus):
        says = f"{place.judge_gpus} names a GPU twice; name each once"
        yield Problem("placement.judge_gpus", "gpu-named-twice", says)
    elif own and (both := sorted(set(place.judge_gpus) & set(trained))):
        yield Problem(
            "placement.judge_gpus",
            "gpus-taken",
            f"{both} train as well (trainer.n_gpus_per_node={len(trained)}); use other numbers",
        )


def _memory_problems(config: DictConfig) -> Iterator[Problem]:
    place, trainers = config.placement, config.actor_rollout_ref.rollout.gpu_memory_utilization
    judges = judge_share(config)
    if judges is None:
        yield Problem(
            "placement.judge_memory",
            "not-a-share",
            f"{place.judge_memory} is no share of a GPU's memory that a judge could take; give "
            "a number between 0 and 1",
        )
    elif place.judge == "shared" and (share := trainers + judges) > _MOST_OF_A_GPU:
        yield Problem(
            "placement.judge_memory",
            "gpu-overfull",
            f"{judges} and rollout.gpu_memory_utilization={trainers} leave the actor "
            f"{1 - share:.0%} of a GPU; keep their sum at most {_MOST_OF_A_GPU}",
        )


def gpu_pools(config: DictConfig) -> dict[str, str]:
    """The line of `medix-r1 check` on GPUs that verl requests from Ray; empty with the training pool alone."""
    pools = _pools(config)
    if len(pools) == 1:
        return {}
    each = " + ".join(f"{gpus} that {work}" for work, gpus in pools.items())
    return {"GPUs": f"{each} = {sum(pools.values())}, in one Ray cluster; with fewer verl stops after it has started"}


def _pools(config: DictConfig) -> dict[str, int]:
    trainer, rollout, model = config.trainer, config.actor_rollout_ref.rollout, config.reward.reward_model
    pools = {"train": int(trainer.nnodes * trainer.n_gpus_per_node)}
    if not config.actor_rollout_ref.hybrid_engine:
        pools["generate"] = int(rollout.nnodes * rollout.n_gpus_per_node)
    if model.enable and model.enable_resource_pool:
        pools["judge"] = int(model.nnodes * model.n_gpus_per_node)
    return pools


def gpus_of_pools(config: DictConfig) -> int:
    """GPUs (ranks, on a CPU) that verl requests from Ray, in all."""
    return sum(_pools(config).values())


def judge_share(config: DictConfig) -> float | None:
    """Share of a GPU's memory for a judge that the run starts, in (0, 1); None for an invalid value."""
    share = config.placement.judge_memory
    return float(share) if isinstance(share, int | float) and 0 < share < 1 else None


def cluster_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of a Ray cluster, whose workers run in other folders and on other machines than this command."""
    cluster = config.ray_kwargs.ray_init.address
    if cluster is None:
        if config.trainer.nnodes > 1:
            yield Problem(
                "ray_kwargs.ray_init.address",
                "no-cluster",
                f"trainer.nnodes={config.trainer.nnodes} needs a Ray cluster that runs "
                "already; give its HOST:PORT (docs/clusters.md; scripts/slurm/nodes.sbatch does it)",
            )
        return
    if not _all_here(config):
        yield from _loopback_problems(config)
    model = config.actor_rollout_ref.model.path
    named = [(f"data.{key}", path) for key in ("train_files", "val_files") for path in data_files(config, key)]
    named += [("actor_rollout_ref.model.path", model)] if Path(model).is_dir() else []
    for key, path in named:
        if not Path(path).is_absolute():
            yield Problem(
                key,
                "relative-path",
                f"{path} is relative, but workers of a running Ray cluster start elsewhere; give it whole",
            )


def _all_here(config: DictConfig) -> bool:
    """Whether every node of the run is this machine.

    No other machine can join a head at a loopback address. Otherwise Ray gives a head the machine's real address, also
    in a job's RAY_ADDRESS; then a run of one node whose head is here is assumed to have no other node.
    """
    cluster = config.ray_kwargs.ray_init.address
    if is_loopback(f"//{cluster}"):
        return True
    return config.trainer.nnodes == 1 and (
        cluster in _RAY_KEYWORDS or urlsplit(f"//{cluster}").hostname in _own_names()
    )


def _own_names() -> set[str]:
    """This machine's host name and the addresses of its network interfaces."""
    addresses = {entry.address for entries in psutil.net_if_addrs().values() for entry in entries}
    return {socket.gethostname().lower(), *addresses}


def _loopback_problems(config: DictConfig) -> Iterator[Problem]:
    """Reward workers may run on any node, where a loopback address means that node itself."""
    for key, node in [*members(config.judge.client), ("embedder", config.embedder)]:
        for address in [node.get("base_url"), *node.get("base_urls", ())]:
            if address is not None and is_loopback(address):
                hint = "; and judge.server.host=0.0.0.0 with a judge.server.port" if config.judge.server else ""
                yield Problem(
                    f"{key}.base_url",
                    "loopback-address",
                    f"{address} leads every node of the Ray cluster to itself, and what scores may run "
                    f"on any; give an address that all nodes reach{hint if key == 'judge.client' else ''}",
                )
