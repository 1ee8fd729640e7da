"""On any platform but the CPU, what makes verl and vLLM train there stays out of the way."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

PROBE = """
import sys
import verl.utils.distributed as distributed
from vllm.distributed.device_communicators import shm_broadcast
import medix_r1.training.verl_plugin.plugin
from medix_r1.training.verl_plugin.cpu import idle_readers

before = shm_broadcast.sched_yield
idle_readers.register()
assert shm_broadcast.sched_yield is before
assert distributed.initialize_global_process_group.__module__ == "verl.utils.distributed"
assert distributed.initialize_global_process_group_ray.__module__ == "verl.utils.distributed"
ours = [name for name in sys.modules if name.startswith("medix_r1.training.verl_plugin.cpu.")]
assert ours == ["medix_r1.training.verl_plugin.cpu.idle_readers"], ours
"""


def test_nothing_of_the_cpu_room_is_even_imported() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"}
    found = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr


def test_the_gpu_extra_has_the_pins_of_verls_own() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text(encoding="utf-8"))
    ours = {Requirement(line).name: Requirement(line) for line in pyproject["project"]["optional-dependencies"]["gpu"]}
    theirs = [Requirement(line) for line in requires("verl") or []]
    pinned = [one for one in theirs if one.marker and 'extra == "vllm"' in str(one.marker) and len(one.specifier)]
    assert {one.name for one in pinned} >= {"torch", "torchvision", "transformers", "vllm"}
    assert {one.name: str(ours[one.name].specifier) for one in pinned} == {
        one.name: str(one.specifier) for one in pinned
    }
