"""What only a GPU can show: attention kernels, vLLM's CUDA build, its sleep mode, weights by CUDA IPC, FSDP on NCCL.

scripts/gpu_smoke.sh runs these with MEDIX_GPU_TESTS=required: then a missing GPU is a failure and not a skip. They have
been composed and collected on machines without a GPU, and never run (docs/gpu.md).
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch

from medix_r1.serving import kept
from medix_r1.serving.server import ServerSettings, free_port
from tests.e2e.conftest import FinishedRun, demo, medix, stub_overrides, train
from tests.support.gpu import NANO_ON_GPU, STEPS
from tests.support.judge_stub import JudgeStub

__all__ = ["demo"]

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(3600)]


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    if not torch.cuda.is_available():
        if os.environ.get("MEDIX_GPU_TESTS") == "required":
            pytest.fail("torch sees no GPU")
        pytest.skip("torch sees no GPU")


def test_the_doctor_names_the_gpu() -> None:
    _, output = medix("doctor")
    assert torch.cuda.get_device_name(0) in " ".join(output.split())


def test_verl_runs_on_cuda() -> None:
    from verl.utils.device import get_device_name

    assert get_device_name() == "cuda"


def logits(folder: Path, device: str, dtype: torch.dtype, attention: str) -> torch.Tensor:
    from transformers import AutoModelForImageTextToText

    model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
    with torch.no_grad():
        tokens = torch.arange(40, 104, device=device).unsqueeze(0)
        return model.to(device).eval()(input_ids=tokens, use_cache=False).logits.float().cpu()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("lengths", [[64], [3, 130, 1, 77], [512, 2048, 1024]], ids=["one", "short", "long"])
def test_torchs_varlen_kernel_equals_one_row_after_the_other(dtype: torch.dtype, lengths: list[int]) -> None:
    """Output and gradients of `torch_varlen`, with fewer key heads than query heads as in Qwen3-VL."""
    from medix_r1.training.verl_plugin.computing import varlen_attention

    torch.manual_seed(0)
    layer = torch.nn.Module()
    layer.num_key_value_groups, layer.is_causal = 4, True
    shapes = [(1, heads, sum(lengths), 128) for heads in (8, 2, 2)]
    positions = torch.cat([torch.arange(length) for length in lengths]).to("cuda")[None]
    found = []
    for exact in (False, True):  # in float32 it is the stand-in
        torch.manual_seed(1)
        query, key, value = (
            torch.randn(shape, device="cuda").to(dtype).to(torch.float32 if exact else dtype).requires_grad_()
            for shape in shapes
        )
        output, _ = varlen_attention.attention(
            layer, query, key, value, None, scaling=128**-0.5, position_ids=positions
        )
        output.float().square().sum().backward()
        found.append([output.float(), *(t.grad.float() for t in (query, key, value) if t.grad is not None)])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=2e-2, atol=2e-2 * float(wanted.abs().max()))


def test_the_gpu_computes_what_the_cpu_does(demo: Path) -> None:
    folder = demo / "models" / "policy"
    expected = logits(folder, "cpu", torch.float32, "sdpa")
    torch.testing.assert_close(
        logits(folder, "cuda", torch.float32, "sdpa"), expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())
    )


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is None, reason="flash-attn is not installed")
def test_flash_attention_agrees_with_torchs_own(demo: Path) -> None:
    folder = demo / "models" / "policy"
    expected = logits(folder, "cuda", torch.bfloat16, "sdpa")
    found = logits(folder, "cuda", torch.bfloat16, "flash_attention_2")
    torch.testing.assert_close(found, expected, rtol=5e-2, atol=5e-2 * float(expected.abs().max()))


def test_vllm_serves_the_nano_judge(demo: Path, tmp_path: Path) -> None:
    arguments = ["--max-model-len", "512", "--gpu-memory-utilization", "0.3"]
    settings = ServerSettings(
        str(demo / "models" / "judge"), "nano-judge", port=free_port(), start_timeout=900, arguments=arguments
    )
    body = {"model": "nano-judge", "prompt": "Answer: yes", "max_tokens": 4, "temperature": 0}
    with kept.served(settings, tmp_path / "vllm.log"):
        request = urllib.request.Request(
            f"{settings.address}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
    assert answer["usage"]["completion_tokens"] >= 1


@pytest.fixture(scope="module")
def run(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Two steps of the nano model: rollouts by vLLM, an update, weights back to vLLM, another step."""
    with JudgeStub() as server:
        overrides = [*stub_overrides(demo, server.address), *NANO_ON_GPU]
        return train(
            tmp_path_factory.mktemp("gpu"), [*overrides, f"trainer.total_training_steps={STEPS}"], timeout=1800
        )


def test_two_steps_train(run: FinishedRun) -> None:
    assert run.exit_code == 0, run.output
    metrics = run.folder.metrics_by_step()
    assert sorted(metrics) == list(range(1, STEPS + 1))
    for step in metrics.values():
        assert math.isfinite(step["actor/pg_loss"])
        assert 0 < step["actor/grad_norm"] < math.inf


def test_a_run_resumes(run: FinishedRun, demo: Path) -> None:
    with JudgeStub() as server:
        overrides = [*stub_overrides(demo, server.address), *NANO_ON_GPU]
        again = train(run.folder.root, [*overrides, f"trainer.total_training_steps={STEPS + 1}"], timeout=1800)
    assert again.exit_code == 0, again.output
    assert again.first_step == STEPS + 1


def test_the_merged_model_loads_on_the_gpu(run: FinishedRun, tmp_path: Path) -> None:
    code, output = medix("merge", str(run.folder.root), "--out", str(tmp_path / "model"))
    assert code == 0, output
    assert torch.isfinite(logits(tmp_path / "model", "cuda", torch.bfloat16, "sdpa")).all()
