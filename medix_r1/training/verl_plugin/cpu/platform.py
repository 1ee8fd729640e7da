"""verl's platform interface for a plain CPU."""

from __future__ import annotations

import os
import resource
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

CPU = torch.device("cpu")

ROLLOUT_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCHDYNAMO_DISABLE": "1",  # otherwise vLLM's decorated helpers compile at warm-up
}


class CpuDeviceModule(types.ModuleType):
    """`torch.cpu` plus the functions of `torch.cuda` that verl calls on its device module.

    Equal to `torch.cpu`, because verl compares with it (verl/utils/profiler/performance.py and
    verl/utils/flops_counter.py).
    """

    def __init__(self) -> None:
        super().__init__("medix_r1_torch_cpu")

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def __eq__(self, other: object) -> bool:
        return other is torch.cpu or other is self

    def __hash__(self) -> int:
        return hash("medix_r1_torch_cpu")

    def empty_cache(self) -> None: ...

    def ipc_collect(self) -> None: ...

    def reset_peak_memory_stats(self, *args: Any, **kwargs: Any) -> None: ...

    def reset_accumulated_memory_stats(self, *args: Any, **kwargs: Any) -> None: ...

    def set_per_process_memory_fraction(self, *args: Any, **kwargs: Any) -> None: ...

    def memory_allocated(self, *args: Any, **kwargs: Any) -> int:
        return 0

    def memory_reserved(self, *args: Any, **kwargs: Any) -> int:
        return 0

    def max_memory_reserved(self, *args: Any, **kwargs: Any) -> int:
        return 0

    def max_memory_allocated(self, *args: Any, **kwargs: Any) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the useful number on a CPU

    def mem_get_info(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def get_rng_state(self, *args: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, *args: Any) -> None:
        torch.set_rng_state(state)

    def get_device_name(self, *args: Any) -> str:
        return "CPU"

    def current_device(self) -> torch.device:
        return CPU

    def set_device(self, *args: Any) -> None: ...


_DEVICE_MODULE = CpuDeviceModule()


class CpuPlatform(PlatformBase):
    """A machine with no accelerator. Chosen by name, never detected."""

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> Any:
        return _DEVICE_MODULE

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False

    def current_device(self) -> torch.device:
        return CPU  # a bare 0 would be taken for cuda:0, since verl calls tensor.to(get_device_id())

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "VERL_CPU_VISIBLE_DEVICES"  # verl writes logical device ids there; nobody else reads it

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "GPU"  # logical GPUs: verl's ResourcePoolManager counts nothing else

    def ray_resource_options(self, num_gpus: float) -> dict[str, Any]:
        return {"num_gpus": num_gpus}

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False  # weights then go from actor to vLLM over zmq and POSIX shared memory, which verl has built in

    def rollout_env_vars(self) -> dict[str, str]:
        given = {key: value for key, value in os.environ.items() if key.startswith("VLLM_CPU_")}
        return ROLLOUT_ENVIRONMENT | given

    def cudart(self) -> Any:
        return None


def register() -> None:
    """Make the platform known to verl under the name `cpu`."""
    PlatformRegistry.register(platform="cpu")(CpuPlatform)
