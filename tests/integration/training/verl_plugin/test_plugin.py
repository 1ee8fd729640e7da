"""A user's plug-in is loaded at `import verl`, whatever it registers, also in a process that is spawned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PLUGIN = """
import torch
from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss


@register_adv_est("by_verls_decorator")
def mine(**given):
    return None


@register_policy_loss("own_loss")
def loss(**given):
    return None


class Lion(torch.optim.SGD):
    pass
"""
LOOKS = """
import multiprocessing
import sys


def looks():
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
    return [get_adv_estimator_fn("by_verls_decorator"), get_policy_loss_fn("own_loss")]


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print([function.__name__ for function in pool.apply(looks)])
    import torch
    from verl.workers.config.optimizer import FSDPOptimizerConfig, build_optimizer
    config = FSDPOptimizerConfig(lr=0.1, optimizer="Lion", optimizer_impl=sys.argv[1])
    print(type(build_optimizer([torch.nn.Parameter(torch.zeros(1))], config)).__name__)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "looks.py").write_text(LOOKS)
    return tmp_path / "mine.py"


def run(plugin: Path) -> subprocess.CompletedProcess[str]:
    from medix_r1 import user_code

    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "VERL_USE_EXTERNAL_MODULES": "medix_r1.training.verl_plugin.plugin",
        user_code.PLUGINS: json.dumps([str(plugin)]),
    }
    line = [sys.executable, "-P", str(plugin.with_name("looks.py")), user_code.dotted(str(plugin))]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def test_what_it_registers_is_known_where_verl_looks_it_up(plugin: Path) -> None:
    result = run(plugin)
    assert result.stdout.splitlines()[-2:] == ["['mine', 'loss']", "Lion"], result.stderr


def test_one_that_fails_ends_the_process_with_its_reason(plugin: Path) -> None:
    plugin.write_text("1 / 0\n")
    result = run(plugin)
    assert result.returncode != 0
    assert "run.plugins" in result.stderr
    assert "ZeroDivisionError" in result.stderr
