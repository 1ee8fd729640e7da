"""Checks this machine against a run: GPUs and their numbers, logical CPUs, memory, builds of vLLM and flash-attn.

A machine without a GPU may be a login node, or somebody's own. There, a run on GPUs is checked only as far as the
config and the environment tell.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medix_r1.errors import Problem
from medix_r1.training.preflight import transfer_queue
from medix_r1.training.preflight.machine import host_memory
from medix_r1.training.preflight.machine.placement import gpus_of_pools
from medix_r1.training.preflight.model.model_shape import is_mixture_of_experts

GIB = 1024**3
SHARED_MEMORY = 1.5 * GIB
# Logical CPUs that verl reserves in Ray: of each GPU (RayResourcePool's max_colocate_count), of each storage unit of
# TransferQueue, and of its controller.
_CPUS_OF_A_GPU, _CPUS_OF_A_UNIT, _CPUS_OF_THE_CONTROLLER = 3, 1, 1
_MOE_BACKEND = "actor_rollout_ref.rollout.engine_kwargs.vllm.moe_backend"
_BLACKWELL = "10."  # compute capability of B100, B200, B300


def hardware_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of the machine; of the node that this command runs on, where a run has several."""
    yield from _build_problems(config)
    yield from _cpu_problems(config)
    if config.trainer.device == "cpu":
        yield from _cpu_run_problems(config)
        return
    if config.ray_kwargs.ray_init.address is None:
        yield from _gpu_problems(config)
    if has_gpu():
        yield from _attention_problems(config)
        yield from _blackwell_problems(config)
        yield from host_memory.problems(config)


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU."""
    return Path("/dev/nvidiactl").exists()


def _build_problems(config: DictConfig) -> Iterator[Problem]:
    found, on_cpu = installed("vllm"), config.trainer.device == "cpu"
    if found is None:
        return
    if on_cpu and not is_for_cpu(found):
        yield Problem(
            "trainer.device",
            "gpu-build-of-vllm",
            f"cpu needs vLLM's CPU build; {found} is the one for GPUs, with which the run would hang "
            "(scripts/install.sh in a clone installs the other, docs/cpu.md)",
        )
    elif not on_cpu and is_for_cpu(found) and has_gpu():
        yield Problem(
            "trainer.device",
            "cpu-build-of-vllm",
            f"{config.trainer.device} needs vLLM's build for GPUs; {found} is the one for CPUs (in a clone: "
            "pip install -e '.[gpu]', in an environment of its own)",
        )


def is_for_cpu(version: str) -> bool:
    """Whether a version of vLLM is of the build for CPUs: `0.24.0+cpu`, or `0.24.1.dev3+g1a2b3c.cpu` from sources."""
    return "cpu" in version.partition("+")[2].split(".")


def installed(name: str) -> str | None:
    """Version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_problems(config: DictConfig) -> Iterator[Problem]:
    """Without enough logical CPUs Ray waits for ever, without a message."""
    ray_init, gpus = config.ray_kwargs.ray_init, gpus_of_pools(config)
    if ray_init.address is not None or not (ray_init.get("num_cpus") or has_gpu()):
        return
    given, units = _cpus_of_ray(config) or 0, storage_units(config)
    needed = _CPUS_OF_A_GPU * gpus + _CPUS_OF_A_UNIT * units + _CPUS_OF_THE_CONTROLLER
    if given < needed:
        has = "is" if ray_init.get("num_cpus") else "null takes this machine's"
        yield Problem(
            "ray_kwargs.ray_init.num_cpus",
            "too-few-cpus",
            f"{has} {given}, but verl reserves {needed} logical CPUs in Ray ({_CPUS_OF_A_GPU} for each of {gpus} GPUs, "
            f"{units} for {transfer_queue.UNITS}, {_CPUS_OF_THE_CONTROLLER} for its controller) and would wait for "
            f"ever; set ray_kwargs.ray_init.num_cpus={needed} (logical, so it may be more than there are cores)",
        )


def storage_units(config: DictConfig) -> int:
    """Storage units of TransferQueue that a run on this machine starts."""
    reserved = _CPUS_OF_A_GPU * gpus_of_pools(config) + _CPUS_OF_THE_CONTROLLER
    return transfer_queue.units(config, reserved, _cpus_of_ray(config))


def _cpus_of_ray(config: DictConfig) -> int | None:
    """Logical CPUs of the Ray that a run starts; None on a running cluster."""
    ray_init = config.ray_kwargs.ray_init
    return None if ray_init.address is not None else ray_init.get("num_cpus") or logical_cpus()


def logical_cpus() -> int:
    """CPUs that Ray finds: those of the machine, or fewer in a container with a limit."""
    count = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup of version 2, or `max`
        return count


def _gpu_problems(config: DictConfig) -> Iterator[Problem]:
    """The GPUs that Ray hands out are the first visible ones; the judge's numbers are those of the machine."""
    visible, place = visible_gpus(), config.placement
    if visible is None:
        return
    trained = config.trainer.n_gpus_per_node
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    where = "this machine has" if said is None else f"CUDA_VISIBLE_DEVICES={said} shows"
    if trained > len(visible):
        yield Problem(
            "trainer.n_gpus_per_node", "too-few-gpus", f"{trained} are more than the {len(visible)} GPUs that {where}"
        )
        return
    if place.judge not in ("own_gpus", "shared") or config.judge.server is None or not place.judge_gpus:
        return
    rest = visible[trained:] if place.judge == "own_gpus" else visible[:trained]
    if wrong := [number for number in place.judge_gpus if str(number) not in rest]:
        use = ",".join(rest[: len(place.judge_gpus)])
        cure = f"use placement.judge_gpus=[{use}]" if use else "train on fewer GPUs (trainer.n_gpus_per_node)"
        kind = "left over by training" if place.judge == "own_gpus" else "of training"
        yield Problem(
            "placement.judge_gpus",
            "gpus-not-visible",
            f"{wrong} are not among the GPUs {kind}, {', '.join(rest) or 'none'}: {where} {', '.join(visible)}; {cure}",
        )


def visible_gpus() -> list[str] | None:
    """Numbers of the GPUs that a run here may use, in the order in which CUDA counts them; None if unknown."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        names = [name.strip() for name in said.split(",") if name.strip() not in ("", "-1")]
        return names if all(name.isdigit() for name in names) else None  # else UUIDs
    if not has_gpu():
        return None
    numbers = sorted(
        int(path.name[6:]) for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)
    )
    return [str(number) for number in numbers]


def _attention_problems(config: DictConfig) -> Iterator[Problem]:
    """verl requests FlashAttention 2 from transformers, which refuses to load a model without flash-attn."""
    asked = (config.actor_rollout_ref.model.get("override_config") or {}).get("attn_implementation")
    if asked in (None, "flash_attention_2") and importlib.util.find_spec("flash_attn") is None:
        yield Problem(
            "actor_rollout_ref.model.override_config.attn_implementation",
            "flash-attn-not-installed",
            "flash-attn is not installed; pip install "
            "--no-build-isolation 'flash-attn>=2.8', or do without (docs/gpu.md): "
            "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        )


def _blackwell_problems(config: DictConfig) -> Iterator[Problem]:
    """vLLM 0.24 repacks bf16 experts there, and verl cannot load new weights into them (verl issue 7978)."""
    rollout = config.actor_rollout_ref.rollout
    backend = OmegaConf.select(config, _MOE_BACKEND)
    if backend not in (None, "auto") or rollout.get("quantization") or str(rollout.dtype) not in ("bfloat16", "bf16"):
        return
    if not is_mixture_of_experts(config.actor_rollout_ref.model.path) or not (installed("vllm") or "").startswith(
        "0.24."
    ):
        return
    if any(capability.startswith(_BLACKWELL) for capability in compute_capabilities()):
        yield Problem(
            _MOE_BACKEND,
            "experts-repacked",
            "on Blackwell GPUs vLLM 0.24 repacks the experts of a bf16 mixture of experts, and verl then cannot load "
            f"the trained weights into them; add +{_MOE_BACKEND}=triton",
        )


def compute_capabilities() -> list[str]:
    """Compute capability of each GPU, from nvidia-smi; empty without it."""
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    query = [program, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _cpu_run_problems(config: DictConfig) -> Iterator[Problem]:
    yield from host_memory.problems(config)
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free) < SHARED_MEMORY:
        yield Problem(
            "/dev/shm",
            "too-little-shared-memory",
            f"{free / GIB:.1f} GiB are free, {SHARED_MEMORY / GIB:.1f} needed (docker: --shm-size=4g)",
        )
