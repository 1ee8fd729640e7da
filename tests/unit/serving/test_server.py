import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medix_r1.errors import ServerError
from medix_r1.serving import server
from medix_r1.serving.server import ServerSettings, of_allocation
from tests.support.judge_stub import MODEL, JudgeStub
from tests.support.loopback import LoopbackHandler, LoopbackServer
from tests.support.problems import coded


@dataclass(frozen=True)
class Script(ServerSettings):
    """Settings that start a small Python server instead of `vllm`."""

    script: str = ""

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.script]


@pytest.fixture
def listener():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()  # closes its pipe, too


def test_the_command_is_a_list_of_words(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/bin/{name}")
    settings = ServerSettings("a model; rm -rf /", "name", port=8123, arguments=["--max-model-len", 4096])

    assert settings.command() == [
        *("/bin/vllm", "serve", "a model; rm -rf /", "--served-model-name", "name"),
        *("--host", "127.0.0.1", "--port", "8123", "--max-model-len", "4096"),
    ]


def test_vllm_beside_this_python_comes_first(monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "which", lambda name, path=None: asked.append(path))

    with pytest.raises(ServerError, check=coded("vllm-not-installed")):
        ServerSettings("m", "n").command()
    assert asked == [str(Path(sys.executable).parent), None]


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("node7", "http://node7:80")],
)
def test_where_clients_find_it(host, address):
    assert ServerSettings("m", "n", host=host, port=80).address == address


def test_free_port_and_port_in_use(listener):
    assert server.port_is_free("127.0.0.1", server.free_port())
    assert not server.port_is_free("127.0.0.1", listener)


def test_a_taken_port_is_refused_before_anything_starts(listener):
    settings = Script("m", "n", port=listener, script="raise SystemExit('must not run')")

    with pytest.raises(ServerError, check=coded("port-in-use", f"127.0.0.1:{listener}")):
        server.start(settings, io.BytesIO())


def test_start_hands_over_environment_and_log(tmp_path, monkeypatch):
    monkeypatch.setenv("INHERITED", "yes")
    script = "import os, sys; print(os.environ['INHERITED'], os.environ['OWN']); print('err', file=sys.stderr)"
    settings = Script("m", "n", port=server.free_port(), environment={"OWN": "1"}, script=script)

    with (tmp_path / "log").open("wb") as log:
        assert server.start(settings, log).wait(120) == 0

    assert sorted((tmp_path / "log").read_text().split()) == ["1", "err", "yes"]
    assert "OWN" not in os.environ


@pytest.mark.parametrize(("key", "says"), [(None, " a key"), ("sk-1", " another key")])
def test_a_server_that_wants_a_key(speak, key, says):
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"

    with pytest.raises(ServerError, check=coded("wants-a-key", "401", says)):
        server.served_models(speak(answer), api_key=key)


def test_served_models():
    with JudgeStub() as stub:
        assert server.served_models(stub.address) == [MODEL]
        assert server.served_models(stub.address.removesuffix("/v1")) == [MODEL]


def test_nothing_answers():
    assert server.served_models(f"http://127.0.0.1:{server.free_port()}") is None


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with JudgeStub() as stub:
        assert server.served_models(stub.address) == [MODEL]


@pytest.fixture
def speak():
    """Start a server that answers every GET with the bytes given; returns its address and the headers it saw."""
    seen = []

    def started(answer: bytes) -> str:
        class Handler(LoopbackHandler):
            def do_GET(self):
                seen.append(dict(self.headers))
                self.wfile.write(answer)
                self.close_connection = True

        return running.enter_context(LoopbackServer(Handler)).address

    start: Any = started
    start.seen = seen
    with contextlib.ExitStack() as running:
        yield start


OK = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"<html>",
        OK + b"[]",
        OK + b"null",
        OK + b"{}",
        OK + b'{"data": null}',
        OK + b'{"data": ["a"]}',
        OK + b"\xff\xfe",
        b"HTTP/1.0 503 loading\r\n\r\n{}",
        b"HTTP/1.0 404 x\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{",
    ],
)
def test_what_is_no_model_server_serves_nothing(speak, answer):
    assert server.served_models(speak(answer)) is None


def test_a_key_is_sent_when_there_is_one(speak):
    address = speak(OK + b'{"data": [{"id": "m"}]}')

    assert server.served_models(address, api_key="sk-1") == ["m"]
    assert server.served_models(address) == ["m"]
    assert [headers.get("Authorization") for headers in speak.seen] == ["Bearer sk-1", None]


@pytest.mark.parametrize("own", [{}, {"VLLM_API_KEY": "sk-own"}])
def test_a_server_that_asks_for_a_key_is_found_ready(speak, monkeypatch, tmp_path, own):
    monkeypatch.setenv("VLLM_API_KEY", "sk-1")
    port = int(speak(OK + b'{"data": [{"id": "n"}]}').rpartition(":")[2])
    process: Any = SimpleNamespace(poll=lambda: None)

    assert server.is_ready(ServerSettings("m", "n", port=port, environment=own), process, tmp_path / "log", 0)
    assert speak.seen[0]["Authorization"] == f"Bearer {own.get('VLLM_API_KEY', 'sk-1')}"


def test_ready_when_the_right_model_answers():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with JudgeStub() as stub:
            settings = ServerSettings("m", MODEL, port=stub.port)
            assert server.wait_until_ready(settings, process, Path("log")) >= 0.0
    finally:
        end(process)


def test_another_model_on_the_port():
    """Upstream defect 21: there, any server on the port is accepted."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with JudgeStub() as stub:
            settings = ServerSettings("m", "the-judge", port=stub.port)
            with pytest.raises(ServerError, check=coded("serves-another-model", MODEL, "the-judge")):
                server.wait_until_ready(settings, process, Path("log"))
    finally:
        end(process)


def test_a_server_that_dies_while_starting():
    """Upstream defect 21: there, the start waits for ever."""
    settings = Script("m", "n", port=server.free_port(), script="raise SystemExit(7)", start_timeout=60)
    with open(os.devnull, "wb") as log:
        process = server.start(settings, log)
    process.wait(120)

    with pytest.raises(ServerError, check=coded("server-ended", 7, "logs/judge.log")):
        server.wait_until_ready(settings, process, Path("logs/judge.log"))


def test_a_server_that_takes_too_long():
    settings = Script("m", "n", port=server.free_port(), script="input()", start_timeout=0.01)
    process = subprocess.Popen(settings.command(), stdin=subprocess.PIPE)
    try:
        with pytest.raises(ServerError, check=coded("server-not-ready")):
            server.wait_until_ready(settings, process, Path("log"))
    finally:
        end(process)


@pytest.mark.parametrize(
    ("wanted", "visible", "found"),
    [
        ("6,7", "", "6,7"),  # a whole machine
        ("6,7", "0,1,2,3,4,5,6,7", "6,7"),
        ("2,3", "4,5,6,7", "6,7"),  # a part of a node
        ("1", "GPU-aa, GPU-bb", "GPU-bb"),
        ("GPU-cc", "4,5", "GPU-cc"),
        ("", "4,5", ""),
    ],
)
def test_gpu_numbers_count_those_of_the_allocation(wanted: str, visible: str, found: str) -> None:
    assert of_allocation(wanted, visible) == found


def test_a_gpu_that_the_job_did_not_get_is_named() -> None:
    with pytest.raises(ServerError, check=coded("no-such-gpu", "GPU 7 of 4", "4,5,6,7", "placement.judge_gpus")):
        of_allocation("0,7", "4,5,6,7")
