"""The GPU environment on a machine without a GPU, as on a login node: what does not train works there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.checkpoints.plain import config, save, state_of
from tests.support import old_run
from tests.support.chat_stub import ChatStub
from tests.unit.data.support import encoded, make_backbone, picture, row, write_rows

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`medix-r1` in an environment of its own, with the CUDA builds of torch and vLLM."""
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if subprocess.run([folder / "bin/pip", "install", "-q", "-e", ".[gpu]"], cwd=ROOT, check=False).returncode:
        pytest.skip("the GPU extra cannot be installed here")
    return folder / "bin" / "medix-r1"


def run(program: Path, folder: Path, *words: object) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VERL_PLATFORM")}
    environment["COLUMNS"] = "400"  # so that no cell of a table is broken
    command = [str(program), *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_doctor_says_what_works(program: Path, tmp_path: Path) -> None:
    told = run(program, tmp_path, "doctor")
    assert "no GPU here: fine for preparing data, checking, merging" in told
    assert "install the other build" not in told


def test_check(program: Path, tmp_path: Path) -> None:
    run(program, tmp_path, "check", "experiment=medix_r1_8b_grpo", "judge=vllm", "placement=own_gpus", "--offline")


def test_merge_and_verify(program: Path, tmp_path: Path) -> None:
    save(tmp_path / "run", state_of(config()))
    assert "merged" in run(program, tmp_path, "merge", "run", "--out", "model", "--dtype", "bf16")
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_data_prepare(program: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows", [row(i, images=[encoded(picture(i, 400, 400))]) for i in range(8)])
    settings = [f"data.path={rows}", f"backbone={make_backbone(tmp_path / 'backbone')}", "split.validation=0.25"]
    run(program, tmp_path, "data", "prepare", "data=jsonl", *settings, "out=prepared")
    assert (tmp_path / "prepared" / "manifest.json").is_file()


def test_report(program: Path, tmp_path: Path) -> None:
    folder = old_run.unpack(tmp_path).root
    run(program, tmp_path, "report", folder, "--out", "report.html")
    assert "reward" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_evaluation_by_servers_elsewhere(program: Path, tmp_path: Path) -> None:
    rows = [{"question": f"Which organ is number {i}?", "answer": "Liver"} for i in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    own = {"name": "organs", "kind": "llm", "headline": False, "path": None, "split": "test", "file": "rows.jsonl"}
    own |= {
        "format": "open",
        "columns": {"question": "question", "answer": "answer"},
        "scorer": "short",
        "licence": "mine",
    }
    (tmp_path / "configs" / "task").mkdir(parents=True)
    (tmp_path / "configs" / "task" / "organs.yaml").write_text(json.dumps(own), encoding="utf-8")
    reply = "<think>It is the largest.</think><answer>Hepar</answer>"
    with ChatStub(lambda _: reply, "policy") as policy, ChatStub(lambda _: "YES", "judge") as judge:
        judges = f"judge.judges=[{{model: judge, base_url: '{judge.address}'}}]"
        words = ["model=policy", f"base_url={policy.address}", "task=organs", "judge=remote", judges]
        run(program, tmp_path, "eval", *words, "out_dir=scores", "--config-dir", "configs")
        assert len(judge.calls) >= 3
    assert list((tmp_path / "scores").rglob("table.md"))
