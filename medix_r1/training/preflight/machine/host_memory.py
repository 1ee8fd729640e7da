"""Estimates the memory of a node itself, not of its GPUs: processes, what is offloaded, and the images of a step.

Images are resized pixels. While a step's replies are generated, those of the prompts that are on their way are in the
agent loops, in Ray's store, and as features in vLLM; TransferQueue's storage units have all; each FSDP rank keeps
those of the prompts that it has rollouts of, up to the size of its cache, until the next step's (docs/scale.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.images import picture_room
from medix_r1.training.preflight.machine import disk, memory
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_files import UnreadableFile, read_all

GIB = 1024**3
_CGROUP = Path("/sys/fs/cgroup")
PICTURE_CACHE = 4 * GIB  # of a rank, as verl_plugin/pictures.py has it
_BYTES_OF_A_PIXEL, _BYTES_OF_A_PIXEL_IN_PIL = 3, 4
TOO_LITTLE = "too-little-host-memory"
# Of the processes of a run, and of each rank with its vLLM; nearly all of it is torch and vLLM, which each imports.
# Measured on the nano model on a CPU (benchmarks/large_pictures.py).
RUN_MEMORY, RANK_MEMORY = 10 * GIB, 2 * GIB
_BYTES_OF_A_ROLLOUT = 0.6e6  # without pixels; in the front end and in the engine each


def problems(config: DictConfig, available: float | None = None) -> Iterator[Problem]:
    """A problem if a node's memory cannot hold what is known to be needed.

    Args:
        config: a composed training config.
        available: bytes; None for those that are free on this machine.
    """
    parts = estimate(config, _mean_pixels(config))
    whose = "this node's" if available is None else "a node's"
    needed, available = sum(parts.values()), available_memory() if available is None else available
    if needed > available:
        each = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items())
        yield Problem(
            "memory",
            TOO_LITTLE,
            f"{available / GIB:.0f} GiB of {whose} memory are available, about {needed / GIB:.0f} needed ({each}); "
            "take fewer prompts a step (data.train_batch_size), smaller images (data.mm_processor_kwargs.max_pixels), "
            "less offloading (actor_rollout_ref.actor.fsdp_config.*_offload), or more nodes",
        )


def notice(config: DictConfig, available: float) -> str:
    """What is said where images are too much only if all were of the largest size; empty if not."""
    most = sum(estimate(config, most_pixels(config)).values())
    if most <= available or any(problems(config, available)):
        return ""
    return (
        f"memory: with the largest images in every row a node would need {most / GIB:.0f} GiB, and it has "
        f"{available / GIB:.0f}; `medix-r1 data prepare` leaves an index from which their real sizes are known"
    )


def available_memory() -> float:
    """Free bytes of this machine, or of the limit that a container or a Slurm job has (cgroup of version 2)."""
    free = float(psutil.virtual_memory().available)
    try:
        most, used = ((_CGROUP / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current"))
        return min(free, float(int(most) - int(used)))
    except (OSError, ValueError):  # no cgroup of version 2, or `max`
        return free


def estimate(config: DictConfig, pixels: float | None) -> dict[str, float]:
    """Bytes of one node, by part.

    Args:
        config: a composed training config.
        pixels: of the images of a row, all together, as the processor gets them; None leaves images out.
    """
    parts = {"processes": processes(config), **_offloaded(config)}
    if pixels:
        batch = batches.of_config(config)
        prompt = _BYTES_OF_A_PIXEL * pixels
        nodes, ranks = config.trainer.nnodes, config.trainer.n_gpus_per_node
        rest = batch.rollouts / nodes * _BYTES_OF_A_ROLLOUT
        of_a_rank = min(batch.prompts, batch.rollouts / (nodes * ranks)) * prompt
        on_their_way = min(batch.prompts / nodes, _room(config) / (picture_room.BYTES_OF_A_PIXEL * pixels))
        parts["images in agent loops"] = on_their_way * pixels * _BYTES_OF_A_PIXEL_IN_PIL
        parts["images in Ray's store"] = on_their_way * prompt
        # In the front end and in the engine, until the vision tower has seen them.
        parts["images in vLLM"] = 2 * on_their_way * picture_room.BYTES_OF_A_PIXEL * pixels
        parts["images in storage units"] = batch.prompts / nodes * prompt + rest
        parts["images in FSDP ranks"] = ranks * min(PICTURE_CACHE, of_a_rank) + rest
    return parts


def _room(config: DictConfig) -> float:
    """Bytes of features that a node's vLLM replicas may have in flight."""
    workers = config.actor_rollout_ref.rollout.agent.num_workers
    return picture_room.size_of_a_worker(config) * workers / float(config.trainer.nnodes)


def processes(config: DictConfig) -> float:
    """Bytes of a node's processes themselves."""
    return RUN_MEMORY + RANK_MEMORY * float(config.trainer.n_gpus_per_node)


def most_pixels(config: DictConfig) -> float | None:
    """Pixels of a row's images, or the most of one image if no index tells; None if neither is known."""
    high = (config.data.get("mm_processor_kwargs") or {}).get("max_pixels")
    return _mean_pixels(config) or (float(high) if high else None)


def _offloaded(config: DictConfig) -> dict[str, float]:
    sizes, actor, ref = disk.parameters(config.actor_rollout_ref.model.path), config.actor_rollout_ref.actor, None
    if sizes is None:
        return {}
    if actor.use_kl_loss or config.algorithm.use_kl_in_reward:
        ref = config.actor_rollout_ref.ref
    whole, vision = sizes
    trained = 0 if config.actor_rollout_ref.model.lora_rank else whole - vision * actor.freeze_vision_tower
    stored, nodes = memory.stored_bytes(actor), config.trainer.nnodes
    parts: Mapping[str, float] = {
        "offloaded parameters": whole * stored * bool(actor.fsdp_config.param_offload),
        "offloaded optimizer": trained
        * stored
        * memory.optimizer_states(actor)
        * bool(actor.fsdp_config.optimizer_offload),
        "offloaded reference": whole * memory.stored_bytes(ref) * bool(ref.fsdp_config.param_offload) if ref else 0.0,
    }
    return {name: size / nodes for name, size in parts.items() if size}


def _mean_pixels(config: DictConfig) -> float | None:
    """Mean pixels of a row after the processor's limits; None where `data prepare` left no index."""
    paths = [named_path(name) for name in batches.data_files(config, "train_files")]
    if not paths or not all(path.is_file() for path in paths):
        return None
    limits = config.data.get("mm_processor_kwargs") or {}
    try:
        return read_all(paths, low=limits.get("min_pixels"), high=limits.get("max_pixels")).pixels
    except UnreadableFile:
        return None  # reported by the checks of the data
