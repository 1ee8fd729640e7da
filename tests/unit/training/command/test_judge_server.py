"""A judge server that dies in mid-run, with real processes that stand in for `vllm serve`."""

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass

import psutil
import pytest

from medix_r1.errors import ServerError
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.serving.server import ServerSettings, free_port
from medix_r1.training.command.judge_server import JudgeServer
from tests.support.problems import coded

SERVER = """
import http.server, json, subprocess, sys
child = subprocess.Popen(["sleep", "300"])  # the engine of a real server
open(sys.argv[1], "w").write(str(child.pid))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [{"id": "n"}]}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Script(ServerSettings):
    """Starts a small Python server instead of `vllm`."""

    child: str = ""
    script: str = SERVER

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.script, self.child, str(self.port)]


@pytest.fixture
def folder(tmp_path):
    found = RunFolder(tmp_path / "run")
    found.create()
    return found


@pytest.fixture
def judge(folder, tmp_path):
    """Makes a JudgeServer; all its processes are ended at the end of the test."""
    made = []

    def make(restarts: int, **settings) -> JudgeServer:
        script = Script("m", "n", port=free_port(), restarts=restarts, child=str(tmp_path / "child"), **settings)
        made.append(JudgeServer(folder, script, tmp_path / "log", first_delay=0.0))
        return made[-1]

    yield make
    for one in made:
        if one._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one._process.pid, signal.SIGKILL)
            one._process.wait()


def events(folder: RunFolder, kind: str) -> list[dict]:
    return [event for event in read_lines(folder.events) if event["event"] == kind]


def watch_until(judge: JudgeServer, done) -> None:
    while not done():
        judge.check()
        time.sleep(0.05)


def test_a_dead_judge_is_started_again_as_often_as_allowed(folder, judge, tmp_path):
    one = judge(restarts=2)
    names = ["judge_restarted", "judge_restarted", "judge_given_up"]
    for number in (1, 2, 3):
        watch_until(one, lambda number=number: len(events(folder, "judge_ready")) == number)
        engine = psutil.Process(int((tmp_path / "child").read_text()))
        os.kill(one._process.pid, signal.SIGKILL)
        watch_until(one, lambda number=number: len(events(folder, "alarm")) == number)
        assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE  # it held the GPU's memory

    for _ in range(5):
        one.check()
    assert [event["name"] for event in events(folder, "alarm")] == names
    assert [event["step"] for event in events(folder, "alarm")] == [0, 0, 0]
    assert len(events(folder, "judge_starting")) == 3


def test_a_restart_that_fails_counts_and_does_not_end_the_run(folder, judge, tmp_path):
    dies_the_second_time = f"import os, sys; os.path.exists({str(tmp_path / 'child')!r}) and sys.exit(9)\n{SERVER}"
    one = judge(restarts=2, script=dies_the_second_time)
    watch_until(one, lambda: events(folder, "judge_ready"))
    os.kill(one._process.pid, signal.SIGKILL)

    watch_until(one, lambda: len(events(folder, "alarm")) == 3)
    assert [event["name"] for event in events(folder, "alarm")][-1] == "judge_given_up"
    assert "code 9" in events(folder, "alarm")[-1]["message"]


def test_a_judge_that_never_became_ready_ends_the_run(judge):
    one = judge(restarts=5, script="raise SystemExit(7)")

    with pytest.raises(ServerError, check=coded("server-ended", 7)):
        watch_until(one, lambda: False)
