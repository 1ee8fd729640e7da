"""What a user gets for wrong input: one clear line each, exit code 1, before anything is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import medix

NANO = ["train", "experiment=nano_cpu"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["trainer.test_frq=3"], "trainer.test_frq: no such key; did you mean trainer.test_freq?"),
        (["algoritm=dapo"], "did you mean algorithm?"),
        (["algorithm=dappo"], "did you mean dapo?"),
        (["reward.weights.llm=0.9"], "reward.weights: they sum to 1.3825"),
        (["data.train_files=/nowhere/train.parquet"], "data.train_files: /nowhere/train.parquet does not exist"),
        (
            ["actor_rollout_ref.model.path=/nowhere/model"],
            "actor_rollout_ref.model.path: /nowhere/model does not exist",
        ),
        (["judge=remote", "judge.client.base_url=http://127.0.0.1:9/v1"], "judge.client.base_url: no judge answers"),
        (["judge=remote"], "judge.client.base_url: has no value"),
        (["actor_rollout_ref.rollout.n=1"], "actor_rollout_ref.rollout.n: a group of 1 has no advantage"),
        (["judge.client.api_key_env=NO_SUCH_KEY"], "the environment variable NO_SUCH_KEY is not set"),
    ],
)
def test_one_clear_line(demo: Path, tmp_path: Path, overrides: list[str], expected: str) -> None:
    code, output = medix(*NANO, f"demo_dir={demo}", f"run.dir={tmp_path / 'run'}", *overrides)
    assert code == 1
    assert expected in " ".join(output.split())
    assert "Traceback" not in output
    assert not (tmp_path / "run").exists()


def test_a_port_in_use_is_named(demo: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = medix(*NANO, f"demo_dir={demo}", f"run.dir={tmp_path / 'run'}", f"judge.server.port={port}")
    assert code == 1
    assert f"judge.server.port: 127.0.0.1:{port} is in use" in output


def test_all_problems_come_together(demo: Path, tmp_path: Path) -> None:
    wrong = ["reward.weights.llm=0.9", "actor_rollout_ref.rollout.n=1", "data.train_files=/nowhere.parquet"]
    code, output = medix(*NANO, f"demo_dir={demo}", f"run.dir={tmp_path / 'run'}", *wrong)
    assert code == 1
    assert "3 problem(s)" in output


def test_wrong_usage_is_exit_code_2() -> None:
    assert medix("train", "--no-such-option")[0] == 2
    assert medix("no-such-verb")[0] == 2
