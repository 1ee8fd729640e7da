"""`medix-r1 serve` with a stub in vLLM's place: it says where, it answers, and nothing of it outlives the command."""

import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from medix_r1.serving.server import free_port, port_is_free, served_models
from tests.support.judge_stub import MODEL

ROOT = Path(__file__).parents[2]
STUB = """#!{python}
import sys
from tests.support.judge_stub import JudgeStub
JudgeStub(port=int(sys.argv[sys.argv.index("--port") + 1])).serve_forever()
"""
BROKEN = """#!/bin/sh
echo "no such model"
exit 3
"""


def start(tmp_path: Path, program: str, port: int) -> subprocess.Popen[str]:
    """Start the command with a Python of its own, beside which `vllm` is ours."""
    (tmp_path / "model").mkdir()
    (tmp_path / "bin").mkdir()
    python, vllm = tmp_path / "bin" / "python", tmp_path / "bin" / "vllm"
    python.symlink_to(sys.executable)
    vllm.write_text(program.format(python=sys.executable))
    vllm.chmod(0o755)
    overrides = [f"judge.server.model={tmp_path}/model", f"judge.server.served_name={MODEL}"]
    return subprocess.Popen(
        [str(python), "-m", "medix_r1.cli", "serve", *overrides, f"judge.server.port={port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])},
    )


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, list[psutil.Process]]]:
    """A command that serves, its port, and every process below it."""
    port = free_port()
    command = start(tmp_path, STUB, port)
    assert command.stdout is not None
    lines = [command.stdout.readline() for _ in range(2)]
    assert f"ready at http://127.0.0.1:{port}/v1 (model {MODEL})" in lines[1], lines
    yield command, port, psutil.Process(command.pid).children(recursive=True)
    command.kill()


def wait_until_gone(processes: list[psutil.Process]) -> None:
    assert len(processes) == 2  # the keeper and the server
    assert psutil.wait_procs(processes, timeout=120)[1] == []


def test_ctrl_c_ends_it(serving: tuple[subprocess.Popen[str], int, list[psutil.Process]]) -> None:
    command, port, processes = serving
    assert served_models(f"http://127.0.0.1:{port}") == [MODEL]

    command.send_signal(signal.SIGINT)

    output = command.communicate(timeout=120)[0]
    assert "stopped" in output
    assert "Traceback" not in output
    assert command.returncode == 0
    wait_until_gone(processes)
    assert port_is_free("127.0.0.1", port)


def test_nothing_outlives_kill_9(serving: tuple[subprocess.Popen[str], int, list[psutil.Process]]) -> None:
    command, port, processes = serving

    command.kill()

    wait_until_gone(processes)
    assert port_is_free("127.0.0.1", port)


def test_a_server_that_dies_is_reported(serving: tuple[subprocess.Popen[str], int, list[psutil.Process]]) -> None:
    command, _, processes = serving

    processes[-1].kill()

    output = command.communicate(timeout=120)[0]
    assert "error: " in output
    assert command.returncode == 1


def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    command = start(tmp_path, BROKEN, free_port())

    output = command.communicate(timeout=120)[0]

    words = " ".join(output.split())  # a narrow console breaks lines
    assert " 3 " in words.partition("error: ")[2]
    assert command.returncode == 1
    log = Path(re.findall(r"log:(/.*?\.log)", words.replace(" ", ""))[0])
    assert log.read_text() == "no such model\n"
    assert output.rstrip().endswith("no such model")
