"""What a user gets for wrong input: one clear line each, exit code 1, before anything is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import medix

NANO = ["train", "experiment=nano_cpu"]


@pytest.mark.parametrize(
    ("overrides", "key", "names"),
    [
        (["trainer.test_frq=3"], "trainer.test_frq", "trainer.test_freq?"),
        (["algoritm=dapo"], "algoritm", "algorithm?"),
        (["algorithm=dappo"], "algorithm=dappo", "dapo?"),
        (["reward.weights.llm=0.9"], "reward.weights", "1.3825"),
        (["data.train_files=/nowhere/train.parquet"], "data.train_files", "/nowhere/train.parquet"),
        (["actor_rollout_ref.model.path=/nowhere/model"], "actor_rollout_ref.model.path", "/nowhere/model"),
        (["judge=remote", "judge.client.base_url=http://127.0.0.1:9/v1"], "judge.client.base_url", "127.0.0.1:9"),
        (["judge=remote"], "judge.client.base_url", ""),
        (["actor_rollout_ref.rollout.n=1"], "actor_rollout_ref.rollout.n", "1"),
        (["judge.client.api_key_env=NO_SUCH_KEY"], "judge.client.api_key_env", "NO_SUCH_KEY"),
    ],
)
def test_one_clear_line(demo: Path, tmp_path: Path, overrides: list[str], key: str, names: str) -> None:
    code, output = medix(*NANO, f"demo_dir={demo}", f"run.dir={tmp_path / 'run'}", *overrides)
    assert code == 1
    head, found, line = " ".join(output.split()).partition(f"- {key}: ")
    assert head == "1 problem(s): "
    assert found
    assert names in line
    assert "Traceback" not in output
    assert not (tmp_path / "run").exists()


def test_a_port_in_use_is_named(demo: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = medix(*NANO, f"demo_dir={demo}", f"run.dir={tmp_path / 'run'}", f"judge.server.port={port}")
    assert code == 1
    assert f"- judge.server.port: 127.0.0.1:{port} " in output


def test_all_problems_come_together(demo: Path, tmp_path: Path) -> None:
    wrong = ["reward.weights.llm=0.9", "actor_rollout_ref.rollout.n=1", "data.train_files=/nowhere.parquet"]
    code, output = medix(*NANO, f"demo_dir={demo}", f"run.dir={tmp_path / 'run'}", *wrong)
    assert code == 1
    assert "3 problem(s)" in output


def test_wrong_usage_is_exit_code_2() -> None:
    assert medix("train", "--no-such-option")[0] == 2
    assert medix("no-such-verb")[0] == 2
