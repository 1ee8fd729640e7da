"""actor_rollout_ref.nccl_timeout reaches the process group that verl's workers make."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.configs import composed
from tests.support.engine_probe import ENVIRONMENT

PROGRAM = """
import json, os, sys
import torch, torch.distributed
import verl.workers.engine_workers as workers
workers.initialize_global_process_group_ray(timeout_second=None)
group = torch.distributed.distributed_c10d._get_default_group()
from torch.distributed.device_mesh import init_device_mesh
mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("fsdp",)).get_group()
print(json.dumps([one._get_backend(torch.device("cpu")).options._timeout.total_seconds() for one in (group, mesh)]))
"""


def environment(*words: str) -> dict[str, str]:
    return dict(composed("experiment=nano_cpu", *words).ray_kwargs.ray_init.runtime_env.env_vars)


@pytest.mark.parametrize(("words", "seconds"), [([], 600), (["actor_rollout_ref.nccl_timeout=1234"], 1234)])
def test_the_group_and_fsdps_mesh_have_it(words: list[str], seconds: int, tmp_path) -> None:
    settings = {**ENVIRONMENT, **environment(*words), "DIST_INIT_METHOD": f"file://{tmp_path}/store"}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=settings, capture_output=True, text=True, timeout=300, cwd=os.getcwd()
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert json.loads(result.stdout.splitlines()[-1]) == [seconds, seconds]
