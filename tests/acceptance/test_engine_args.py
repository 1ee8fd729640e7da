"""vLLM takes the arguments that verl makes of every experiment; no engine is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.configs import choices, composed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
EXPERIMENTS = choices("experiment")


@pytest.fixture(scope="module")
def model(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nano policy with the position limit of the real models, which verl falls back to."""
    folder = tmp_path_factory.mktemp("model") / "policy"
    shutil.copytree(demo / "models/policy", folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 262144
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def built(model: Path) -> dict[str, dict[str, Any]]:
    """By experiment, what vLLM's AsyncEngineArgs holds after verl's own server class has made its command line."""
    platform = {"VERL_PLATFORM": "cpu", "VERL_USE_EXTERNAL_MODULES": "medix_r1.training.verl_plugin.plugin"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.engine_args", str(model), *EXPERIMENTS],
        cwd=ROOT,
        env={**os.environ, **platform},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    lines = [json.loads(line[1:]) for line in result.stdout.splitlines() if line.startswith("@")]
    return {line.pop("experiment"): line for line in lines}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_vllm_gets_what_the_config_says(built: dict[str, dict[str, Any]], experiment: str) -> None:
    rollout, found = composed(f"experiment={experiment}").actor_rollout_ref.rollout, built[experiment]
    for name in ("dtype", "max_num_batched_tokens", "max_num_seqs", "enable_chunked_prefill", "enforce_eager"):
        assert found[name] == rollout[name], name
    assert found["tensor_parallel_size"] == rollout.tensor_model_parallel_size
    assert found["gpu_memory_utilization"] == rollout.gpu_memory_utilization
    assert found["limit_mm_per_prompt"] == rollout.engine_kwargs.vllm.limit_mm_per_prompt
    assert found["max_model_len"] == rollout.max_model_len
    # without chunked prefill vLLM refuses a batch that is smaller than one row
    assert found["enable_chunked_prefill"] or found["max_num_batched_tokens"] >= found["max_model_len"]
