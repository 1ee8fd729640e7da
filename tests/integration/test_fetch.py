"""`medix-r1 fetch` against a hub on loopback; huggingface_hub itself is the real one, and then offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from medix_r1.errors import ConfigError
from medix_r1.fetch import TRAINING_DATA, check_out, local_models, wanted
from tests.support.loopback import LoopbackHandler, LoopbackServer
from tests.support.problems import only

COMMIT = "0123456789abcdef0123456789abcdef01234567"
POLICY, JUDGE, EMBEDDER = "Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen3-4B-Instruct-2507", "abhinand/MedEmbed-large-v0.1"
MODEL = {"config.json": b"{}", "model.safetensors": b"w" * 1000}
FILES = {
    **{("models", name): MODEL for name in (POLICY, JUDGE, EMBEDDER)},
    ("datasets", TRAINING_DATA): {"data/train-00000.parquet": b"p" * 300},
    ("datasets", "flaviagiammarino/vqa-rad"): {"data/test-00000.parquet": b"q" * 200},
}
RUN = ("experiment=medix_r1_8b_grpo", "judge=vllm", "embedder=medembed")


class _Handler(LoopbackHandler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/").split("/")
        if path[0] == "api":
            kind, repo = path[1], "/".join(path[2:4])
            if (files := FILES.get((kind, repo))) is None:
                return self.send_json({"error": "Repository not found"}, 404)
            if path[4:5] == ["tree"]:
                tree = [{"type": "file", "path": name, "size": len(files[name]), "oid": "0"} for name in files]
                return self.send_json(tree)
            siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            return self.send_json({"id": repo, "_id": "1", "sha": COMMIT, "private": False, "siblings": siblings})
        kind = "datasets" if path[0] == "datasets" else "models"
        owner, name, _, _, *rest = path[1:] if kind == "datasets" else path
        content = FILES[kind, f"{owner}/{name}"]["/".join(rest)]
        return self.send(200, content, {"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT})


def run(out: Path, *words: str, endpoint: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": str(int(offline)),
    }
    environment.pop("HF_TOKEN", None)
    command = [sys.executable, "-m", "medix_r1.cli", "fetch", *words, "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def test_everything_is_fetched_and_found_without_the_hub(tmp_path: Path) -> None:
    with LoopbackServer(_Handler) as hub:
        done = run(tmp_path / "hub", *RUN, "--task", "rad_vqa", endpoint=hub.address)
    assert done.returncode == 0, done.stdout + done.stderr

    for name in (POLICY, JUDGE, EMBEDDER, TRAINING_DATA, "flaviagiammarino/vqa-rad"):
        assert name in done.stdout
    assert f"export HF_HOME={tmp_path / 'hub'} HF_HUB_OFFLINE=1" in done.stdout
    assert f"data.path={tmp_path / 'hub' / 'datasets' / TRAINING_DATA}" in done.stdout
    assert (tmp_path / "hub" / "datasets" / TRAINING_DATA / "data" / "train-00000.parquet").read_bytes() == b"p" * 300
    assert (tmp_path / "hub" / "datasets" / "flaviagiammarino/vqa-rad" / "data" / "test-00000.parquet").is_file()

    program = "import json, huggingface_hub as h, os; f = h.snapshot_download; " + (
        f"print(json.dumps([sorted(os.listdir(f(name))) for name in {(POLICY, JUDGE, EMBEDDER)!r}]))"
    )
    job = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=job)
    assert json.loads(found.stdout) == [["config.json", "model.safetensors"]] * 3


def test_a_dry_run_says_sizes_and_downloads_nothing(tmp_path: Path) -> None:
    with LoopbackServer(_Handler) as hub:
        done = run(tmp_path / "hub", *RUN, "--task", "none", "--dry-run", endpoint=hub.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"policy: {POLICY} (model), 1.0 kB" in done.stdout
    assert "together 3.3 kB" in done.stdout
    assert not (tmp_path / "hub").exists()


def test_what_cannot_be_had_is_listed_together(tmp_path: Path) -> None:
    with LoopbackServer(_Handler) as hub:
        words = (*RUN, "actor_rollout_ref.model.path=nobody/policy", "--task", "path_vqa", "--task", "rad_vqa")
        done = run(tmp_path / "hub", *words, endpoint=hub.address)
    assert done.returncode == 1
    assert "nobody/policy: policy: " in done.stdout
    assert "flaviagiammarino/path-vqa: path_vqa: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "hub" / "datasets" / "flaviagiammarino/vqa-rad").is_dir()  # the others came


def test_local_folders_are_not_fetched_and_each_repository_once() -> None:
    parts = wanted(["experiment=nano_cpu"], [], ["open"])
    assert {part.kind for part in parts} == {"dataset"}
    assert len({(part.repo, part.revision) for part in parts}) == len(parts)
    (mmlu,) = [part for part in parts if part.repo == "hails/mmlu_no_train"]
    assert mmlu.use.count("mmlu_") == 6


def test_data_can_be_left_out() -> None:
    assert wanted(["experiment=nano_cpu"], [], ["none"], data=False) == []
    assert TRAINING_DATA in [part.repo for part in wanted([RUN[0]], [], ["none"])]


@pytest.mark.parametrize("words", [["experiment=nano_cpu"], [RUN[0], "data=prepared", "data.folder=/shared/data/mine"]])
def test_the_papers_data_are_fetched_for_runs_that_read_them_alone(words: list[str]) -> None:
    assert TRAINING_DATA not in [part.repo for part in wanted(words, [], ["none"])]


def test_models_that_are_no_names_on_the_hub_are_told(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    words = [RUN[0], f"actor_rollout_ref.model.path={tmp_path}/policy", "embedder=medembed", "embedder.model=a/b/c"]
    there, missing = local_models(words, [])
    assert there.startswith("policy: ")
    assert missing.startswith("embedder: a/b/c")
    assert missing.endswith("not there yet")
    assert not there.endswith("not there yet")


def test_a_hub_that_is_away_is_said_in_a_line_each(tmp_path: Path) -> None:
    done = run(tmp_path / "hub", *RUN, "--task", "none", "--dry-run", endpoint="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stdout.count("Connection refused") == 4
    assert "Traceback" not in done.stdout + done.stderr


def test_an_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(ConfigError, check=only(("--out", "not-a-folder"))):
            check_out(out)
    check_out(tmp_path / "new/folder")


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ConfigError, check=only(("--task slake", "unknown-task"))):
        wanted(["experiment=nano_cpu"], [], ["slake"])
