"""What a machine lacks for a run, told by stand-ins for its devices, its variables and its packages."""

import importlib.metadata
import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from medix_r1.training.preflight.machine import disk, hardware, host_memory
from medix_r1.training.preflight.machine.hardware import hardware_problems
from tests.support.configs import composed, set_in
from tests.support.problems import codes, numbers

GIB = 1024**3
CPUS, GPUS, JUDGES = "ray_kwargs.ray_init.num_cpus", "trainer.n_gpus_per_node", "placement.judge_gpus"
UNITS = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
ADDRESS = "ray_kwargs.ray_init.address"
MOE = "actor_rollout_ref.rollout.engine_kwargs.vllm.moe_backend"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of eight GPUs with the right packages, and enough of all."""
    monkeypatch.setattr(hardware, "has_gpu", lambda: True)
    monkeypatch.setattr(hardware, "logical_cpus", lambda: 64)
    monkeypatch.setattr(hardware, "compute_capabilities", lambda: ["8.0"] * 8)
    monkeypatch.setattr(host_memory, "_CGROUP", Path("/nowhere"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2048 * GIB))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    versions(monkeypatch, vllm="0.24.0")


def versions(monkeypatch, **known):
    real = importlib.metadata.version

    def version(name):
        if known.get(name, "") is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return known.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def problems(*words: str, **values):
    return list(hardware_problems(set_in(*(words or ("experiment=medix_r1_8b_grpo",)), **values)))


@pytest.mark.parametrize("recipe", ["medix_r1_2b_dapo", "medix_r1_8b_grpo", "medix_r1_30b_dapo", "medix_r1_7b_gspo"])
def test_the_recipes_run_on_eight_gpus(recipe):
    assert problems(f"experiment={recipe}") == []


@pytest.mark.parametrize("experiment", ["medix_r1_8b_grpo", "nano_cpu"])
@pytest.mark.parametrize("build", ["0.24.0", "0.24.0+cu129", "0.24.0+cpu", "0.24.1.dev3+g1a2b3c.cpu", None])
def test_the_build_of_vllm_fits_the_device(monkeypatch, experiment, build):
    versions(monkeypatch, vllm=build)
    for_cpu = build is not None and "cpu" in build
    is_wrong = build is not None and for_cpu != (experiment == "nano_cpu")
    code = ("cpu-build-of-vllm" if for_cpu else "gpu-build-of-vllm") if is_wrong else None
    assert codes(problems(f"experiment={experiment}")) == ([("trainer.device", code)] if code else [])


def test_a_login_node_has_another_build_and_no_gpu(monkeypatch):
    monkeypatch.setattr(hardware, "has_gpu", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    versions(monkeypatch, vllm="0.24.0+cpu")
    assert problems() == []


def test_too_few_logical_cpus_would_hang(monkeypatch):
    """27 for eight GPUs with two storage units; with eight they are 33."""
    monkeypatch.setattr(hardware, "logical_cpus", lambda: 26)
    (problem,) = problems()
    assert (problem.key, problem.code) == (CPUS, "too-few-cpus")
    assert f"{CPUS}=27" in problem.text
    assert problems(**{CPUS: 27}) == []
    assert codes(problems(**{CPUS: 26})) == [(CPUS, "too-few-cpus")]
    assert codes(problems(**{CPUS: 32, UNITS: 8})) == [(CPUS, "too-few-cpus")]
    assert problems(**{CPUS: 33, UNITS: 8}) == []
    assert problems(**{UNITS: 1}) == []


@pytest.mark.parametrize(("cpus", "units"), [(64, 8), (33, 8), (32, 2), (4, 2)])
def test_two_storage_units_where_cores_are_few(monkeypatch, cpus, units):
    monkeypatch.setattr(hardware, "logical_cpus", lambda: cpus)
    recipe = composed("experiment=medix_r1_8b_grpo")
    assert hardware.storage_units(recipe) == units
    assert hardware.storage_units(set_in("experiment=medix_r1_8b_grpo", **{UNITS: 5})) == 5
    assert hardware.storage_units(set_in("experiment=medix_r1_8b_grpo", **{ADDRESS: "10.0.0.1:6379"})) == 8
    monkeypatch.setattr(hardware, "logical_cpus", lambda: 33)
    assert problems() == []
    assert problems("experiment=nano_cpu", **{"trainer.device": "cpu"}) != [], "the build"


def test_one_gpu_needs_few():
    assert problems("experiment=medix_r1_2b_gpu24", **{CPUS: 6}) == []
    assert codes(problems("experiment=medix_r1_2b_gpu24", **{CPUS: 5})) == [(CPUS, "too-few-cpus")]


def test_cpus_of_a_cluster_are_its_own_matter(monkeypatch):
    monkeypatch.setattr(hardware, "logical_cpus", lambda: 2)
    assert problems(**{"ray_kwargs.ray_init.address": "head:6379"}) == []


@pytest.mark.parametrize("written", ["400000 100000", "max 100000", "", None])
def test_a_containers_limit_counts(monkeypatch, written):
    monkeypatch.undo()

    def read_text(path, **_):
        assert str(path) == "/sys/fs/cgroup/cpu.max"
        if written is None:
            raise FileNotFoundError
        return written

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert hardware.logical_cpus() == (4 if written == "400000 100000" else 64)


@pytest.mark.parametrize(("visible", "fits"), [("0,1,2,3", False), ("", False), ("-1", False), ("GPU-1f,GPU-2e", True)])
def test_fewer_gpus_than_are_to_train(monkeypatch, visible, fits):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert codes(problems()) == ([] if fits else [(GPUS, "too-few-gpus")])
    assert problems(**{"ray_kwargs.ray_init.address": "head:6379"}) == []


OWN = ("experiment=medix_r1_2b_dapo", "placement=own_gpus", "judge=vllm")


@pytest.mark.parametrize(
    ("visible", "trained", "judges", "instead"),
    [
        ("0,1,2,3,4,5,6,7", 6, [6, 7], None),
        ("4,5,6,7", 3, [7], None),
        ("4,5,6,7", 3, [3], "[7]"),
        ("4,5,6,7", 3, [5], "[7]"),
        ("7,6,5,4", 3, [4], None),
        ("7,6,5,4", 3, [7], "[4]"),
        ("0,1,2,3,4,5", 6, [6, 7], "trainer.n_gpus_per_node"),
    ],
)
def test_the_judges_numbers_against_the_visible_ones(monkeypatch, visible, trained, judges, instead):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = problems(*OWN, **{GPUS: trained, JUDGES: judges})
    assert codes(found) == ([(JUDGES, "gpus-not-visible")] if instead else [])
    assert all(instead in problem.text for problem in found)


def test_a_shared_gpu_is_one_that_trains(monkeypatch):
    shared = ("experiment=medix_r1_2b_dapo", "placement=shared", "judge=vllm")
    assert problems(*shared) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "8,9,10,11,12,13,14,15")
    (problem,) = problems(*shared)
    assert (problem.key, problem.code, "[8]" in problem.text) == (JUDGES, "gpus-not-visible", True)


BLACKWELL = ["10.0"] * 8


@pytest.mark.parametrize(
    ("recipe", "capabilities", "build", "values", "refused"),
    [
        ("medix_r1_30b_dapo", BLACKWELL, "0.24.0", {}, True),
        ("medix_r1_30b_dapo", BLACKWELL, "0.24.0", {MOE: "triton"}, False),
        ("medix_r1_30b_dapo", BLACKWELL, "0.25.0", {}, False),
        ("medix_r1_30b_dapo", ["9.0"] * 8, "0.24.0", {}, False),
        ("medix_r1_8b_grpo", BLACKWELL, "0.24.0", {}, False),
    ],
)
def test_bf16_experts_on_blackwell(monkeypatch, recipe, capabilities, build, values, refused):
    monkeypatch.setattr(hardware, "compute_capabilities", lambda: capabilities)
    versions(monkeypatch, vllm=build)
    found = problems(f"experiment={recipe}", **values)
    assert codes(found) == ([(MOE, "experts-repacked")] if refused else [])
    assert all(f"+{MOE}=triton" in problem.text for problem in found)


def test_capabilities_come_from_the_drivers_tool(monkeypatch, tmp_path):
    monkeypatch.undo()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '10.0'\necho '9.0'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert hardware.compute_capabilities() == ["10.0", "9.0"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert hardware.compute_capabilities() == []


def test_a_nodes_memory_holds_what_is_offloaded(monkeypatch):
    """8.77 billion parameters: themselves and two moments in fp32, the reference in bf16; processes of eight ranks."""
    offloaded = {f"actor_rollout_ref.actor.fsdp_config.{name}_offload": True for name in ("param", "optimizer")}
    parts = host_memory.estimate(set_in("experiment=medix_r1_8b_grpo", **offloaded), None)
    assert parts["processes"] == host_memory.RUN_MEMORY + 8 * host_memory.RANK_MEMORY
    assert sum(parts.values()) - parts["processes"] == 8_767_123_696 * (4 * (1 + 2) + 2)
    assert disk.parameters("Qwen/Qwen3-VL-8B-Instruct") == (8_767_123_696, 576_388_336)
    needed = round(sum(parts.values()) / GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=(needed - 2) * GIB))
    (problem,) = problems(**offloaded)
    assert (problem.key, problem.code) == ("memory", "too-little-host-memory")
    assert numbers(problem.text)[:2] == [needed - 2, needed]
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=(needed + 1) * GIB))
    assert problems(**offloaded) == []
    of_processes = parts["processes"] + 17 * GIB
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=of_processes))
    assert problems() == [], "the reference alone"


def test_a_nodes_memory_may_be_given(monkeypatch):
    """The machine that checks is often not the one that trains."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * GIB))
    config = composed("experiment=medix_r1_8b_grpo")
    assert list(host_memory.problems(config, 2048.0 * GIB)) == []
    (problem,) = host_memory.problems(config, 32.0 * GIB)
    assert (problem.key, problem.code) == ("memory", "too-little-host-memory")
    assert numbers(problem.text)[0] == 32


@pytest.mark.parametrize(("limit", "gib"), [(str(96 * GIB), 64), ("max", 2048), (None, 2048)])
def test_a_jobs_limit_of_memory_counts(monkeypatch, tmp_path, limit, gib):
    monkeypatch.setattr(host_memory, "_CGROUP", tmp_path)
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{32 * GIB}\n")
    assert host_memory.available_memory() == gib * GIB


def test_images_of_a_step_are_three_bytes_a_pixel_and_features_only_of_prompts_on_their_way():
    """512 prompts, 2,560 rollouts on 8 ranks: docs/scale.md."""
    config = composed("experiment=medix_r1_8b_grpo")
    rest = 2560 * 0.6e6
    room = 4 * 4 * GIB  # of four replicas, in features of 24 bytes a pixel: images/picture_room.py
    for pixels, prompts in ((4_194_304, room / (24 * 4_194_304)), (262_144, 512)):
        parts = host_memory.estimate(config, pixels)
        assert parts["images in storage units"] == 512 * 3 * pixels + rest
        assert parts["images in FSDP ranks"] == 8 * 320 * 3 * pixels + rest
        assert parts["images in agent loops"] == prompts * 4 * pixels
        assert parts["images in Ray's store"] == prompts * 3 * pixels
        assert parts["images in vLLM"] == 2 * prompts * 24 * pixels
    assert host_memory.estimate(config, 8_000_000)["images in FSDP ranks"] == 8 * host_memory.PICTURE_CACHE + rest
    assert host_memory.most_pixels(config) == 4_194_304
