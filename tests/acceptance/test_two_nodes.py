"""Two Ray nodes on this machine, one FSDP rank and one vLLM engine on each, train real steps: trainer.nnodes=2.

The nodes are started as scripts/slurm/nodes.sbatch starts them, with a token that every caller needs.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from medix_r1.runs.folder import RunFolder
from medix_r1.serving.server import free_port
from tests.e2e.conftest import FinishedRun, medix, stub_overrides
from tests.support.judge_stub import JudgeStub
from tests.support.trained_weights import moved_share

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
STEPS = (1, 2)
# what hardware=cpu sets for the Ray that a run starts itself
NODE = {
    "RAY_NODE_ARGUMENTS": "--num-cpus=16 --num-gpus=1 --object-store-memory=500000000",
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
WORKERS = {"rank": "ray::WorkerDict", "engine": "VLLM::EngineCore"}  # how their processes call themselves


@dataclass(frozen=True)
class Cluster:
    address: str
    nodes: list[subprocess.Popen[bytes]]  # scripts/ray/node.sh of the head and of the worker, above all that runs there


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


class Watcher(threading.Thread):
    """Looks every second which workers run below each node; `seen` has the process ids by node and kind."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.cluster, self.ended = cluster, threading.Event()
        self.seen: list[dict[str, set[int]]] = [{kind: set() for kind in WORKERS} for _ in cluster.nodes]

    def run(self) -> None:
        while not self.ended.wait(1.0):
            for node, seen in zip(self.cluster.nodes, self.seen, strict=True):
                titles = {p.pid: title(p) for p in psutil.Process(node.pid).children(recursive=True)}
                for kind, name in WORKERS.items():
                    seen[kind] |= {pid for pid, words in titles.items() if words.startswith(name)}

    def __enter__(self) -> Watcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    short = os.environ.get("TMPDIR", "/tmp")  # Ray puts sockets below it
    variables = {**os.environ, **NODE, "MEDIX_BIN": str(Path(sys.executable).parent), "RAY_TMPDIR": short}
    variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    variables["PYTHONPATH"] = str(ROOT)
    if variables.get("CUDA_VISIBLE_DEVICES") == "":
        del variables["CUDA_VISIBLE_DEVICES"]
    return variables


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two nodes; nothing of them is left at the end."""
    address = f"127.0.0.1:{free_port()}"
    logs = tmp_path_factory.mktemp("ray")
    nodes = []
    for kind in ("head", "worker"):
        with (logs / f"{kind}.log").open("w") as log:
            command = [str(ROOT / "scripts/ray/node.sh"), kind, address]
            nodes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
    try:
        wait = [sys.executable, str(ROOT / "scripts/ray/wait.py"), "--ray", address, "--nodes", "2", "--limit", "180"]
        subprocess.run(wait, env=environment, check=True)
        yield Cluster(address, nodes)
    finally:
        family = [member for node in nodes for member in psutil.Process(node.pid).children(recursive=True)]
        for node in reversed(nodes):
            node.send_signal(signal.SIGTERM)
        codes = [node.wait(60) for node in nodes]
        time.sleep(2)
        left = [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        for process in left:
            process.kill()
        assert left == []
        assert codes == [128 + signal.SIGTERM] * 2


@pytest.fixture(scope="module")
def watcher(cluster: Cluster) -> Watcher:
    return Watcher(cluster)


@pytest.fixture(scope="module")
def run(
    watcher: Watcher, environment: dict[str, str], demo: Path, tmp_path_factory: pytest.TempPathFactory
) -> FinishedRun:
    folder = RunFolder(tmp_path_factory.mktemp("two_nodes"))
    with JudgeStub() as server, watcher:
        code, output = medix(
            "train",
            *stub_overrides(demo, server.address),
            "trainer.nnodes=2",
            f"ray_kwargs.ray_init.address={watcher.cluster.address}",
            f"trainer.total_training_steps={len(STEPS)}",
            "trainer.save_freq=2",
            f"run.dir={folder.root}",
            timeout=1200,
            environment=environment,
        )
    return FinishedRun(folder, code, output)


def test_two_nodes_train_real_steps(run: FinishedRun, demo: Path) -> None:
    assert run.exit_code == 0, run.output
    metrics = run.folder.metrics_by_step()
    assert sorted(metrics) == list(STEPS)
    assert all(metrics[step]["actor/grad_norm"] > 0 for step in STEPS)
    assert moved_share(run.folder.checkpoints / "global_step_2", demo / "models" / "policy") > 0.5


def test_each_node_had_a_rank_and_an_engine(run: FinishedRun, watcher: Watcher) -> None:
    assert run.exit_code == 0
    assert all(seen[kind] for seen in watcher.seen for kind in WORKERS), watcher.seen


def test_each_rank_wrote_its_shard(run: FinishedRun) -> None:
    shards = sorted(path.name for path in (run.folder.checkpoints / "global_step_2" / "actor").glob("model_*.pt"))
    assert shards == ["model_world_size_2_rank_0.pt", "model_world_size_2_rank_1.pt"]


def test_the_cluster_outlives_the_run(run: FinishedRun, cluster: Cluster, environment: dict[str, str]) -> None:
    wait = [
        sys.executable,
        str(ROOT / "scripts/ray/wait.py"),
        "--ray",
        cluster.address,
        "--nodes",
        "2",
        "--limit",
        "30",
    ]
    assert run.exit_code == 0
    assert subprocess.run(wait, env=environment, check=False).returncode == 0
