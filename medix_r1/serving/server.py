"""`vllm serve` as a child process, on loopback by default.

Standard library only, because the supervisor imports it and has to stay small.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from medix_r1.errors import ServerError
from medix_r1.host.log_tail import tail

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How to serve one model (YAML: `judge.server`).

    Attributes:
        model: hub name or folder.
        served_name: the model's name for clients.
        host, port: where it listens; port 0 means any free one, chosen by the launcher.
        start_timeout: maximum seconds until the server is ready.
        restarts: how often a training run starts it again when it has died.
        arguments: further arguments of `vllm serve`, one item a word.
        environment: environment variables of the server; numbers in CUDA_VISIBLE_DEVICES count the GPUs that this
            process may use.
    """

    model: str
    served_name: str
    host: str = "127.0.0.1"
    port: int = 0
    start_timeout: float = 900.0
    restarts: int = 0
    arguments: Sequence[str | int | float] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_key(self) -> str | None:
        """The API key that the server requires; `vllm serve` reads it from VLLM_API_KEY."""
        return self.environment.get("VLLM_API_KEY") or os.environ.get("VLLM_API_KEY")

    @property
    def address(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{host}:{self.port}"

    def command(self) -> list[str]:
        """The command line as a list of words, for use without a shell.

        Raises:
            ServerError: vLLM is not installed.
        """
        program = shutil.which("vllm", path=str(Path(sys.executable).parent)) or shutil.which("vllm")
        if program is None:
            raise ServerError(
                "`vllm` is not installed here; use judge=remote with an address, or install an extra",
                code="vllm-not-installed",
            )
        listen = ["--host", self.host, "--port", str(self.port)]
        words = map(str, self.arguments)  # YAML parses some of them as numbers
        return [program, "serve", self.model, "--served-model-name", self.served_name, *listen, *words]


def free_port() -> int:
    """A loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def start(settings: ServerSettings, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server in a process group of its own, with its output appended to `log`.

    Raises:
        ServerError: the port is in use, or vLLM is not installed.
    """
    if not port_is_free(settings.host, settings.port):
        raise ServerError(
            f"judge.server.port: {settings.host}:{settings.port} is in use; choose another, or 0 for any free one",
            code="port-in-use",
        )
    environment = {**os.environ, **{name: str(value) for name, value in settings.environment.items()}}
    if _VISIBLE in settings.environment:
        environment[_VISIBLE] = of_allocation(environment[_VISIBLE], os.environ.get(_VISIBLE, ""))
    return subprocess.Popen(
        settings.command(),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        process_group=0,
    )


def of_allocation(wanted: str, visible: str) -> str:
    """GPU numbers of a config, which count the GPUs that this process may use, as the driver's names.

    A job that shares a node may have got GPUs 4 to 7: then 2 and 3 are 6 and 7. On a whole node they stay.

    Args:
        wanted: numbers from 0, separated by commas; anything else, such as UUIDs, is taken as it is.
        visible: CUDA_VISIBLE_DEVICES of this process; empty if it may use all.

    Raises:
        ServerError: a number is larger than there are GPUs.
    """
    names = [name.strip() for name in visible.split(",") if name.strip()]
    numbers = [number.strip() for number in wanted.split(",")]
    if not names or not all(number.isdecimal() for number in numbers):
        return wanted
    if odd := [number for number in numbers if int(number) >= len(names)]:
        raise ServerError(
            f"judge.server.environment.{_VISIBLE}: GPU {', '.join(odd)} of {len(names)} that this job may use "
            f"({visible}); numbers count them from 0 (placement.judge_gpus)",
            code="no-such-gpu",
        )
    return ",".join(names[int(number)] for number in numbers)


def wait_until_ready(settings: ServerSettings, process: subprocess.Popen[bytes], log: Path) -> float:
    """Block until the server answers with the right model; returns the seconds it took.

    Raises:
        ServerError: as `is_ready`.
    """
    start_time = time.monotonic()
    while not is_ready(settings, process, log, time.monotonic() - start_time):
        time.sleep(0.5)
    return time.monotonic() - start_time


def is_ready(settings: ServerSettings, process: subprocess.Popen[bytes], log: Path, waited: float) -> bool:
    """Whether a server that was started `waited` seconds ago answers with the right model.

    Raises:
        ServerError: it died, it takes longer than `start_timeout`, or another server answers on its port.
    """
    if process.poll() is not None:
        raise ServerError(
            f"the judge server ended with code {process.returncode} while starting; see {log}{tail(log)}",
            code="server-ended",
        )
    if (names := served_models(settings.address, api_key=settings.api_key)) is not None:
        if settings.served_name not in names:
            raise ServerError(
                f"{settings.address} serves {', '.join(names)}, not {settings.served_name}", code="serves-another-model"
            )
        return True
    if waited > settings.start_timeout:
        raise ServerError(
            f"the judge server was not ready after {settings.start_timeout:.0f} s; see {log}", code="server-not-ready"
        )
    return False


def served_models(address: str, timeout: float = 2.0, api_key: str | None = None) -> list[str] | None:
    """Names of the models that a server offers; None if no model server answers there (yet).

    Args:
        address: with or without `/v1`.
        timeout: seconds.
        api_key: sent as a bearer token.

    Raises:
        ServerError: the server answers 401 or 403.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxies of the environment
    try:
        request = urllib.request.Request(f"{address.removesuffix('/v1')}/v1/models")
        if api_key:
            request.add_header("Authorization", f"Bearer {api_key}")
        with opener.open(request, timeout=timeout) as reply:
            payload: Any = json.load(reply)
        return [str(model["id"]) for model in payload["data"]]
    except urllib.error.HTTPError as error:
        error.close()  # it is the reply, with its connection
        if error.code in (401, 403):
            raise ServerError(
                f"{address} answers {error.code}: it wants {'another' if api_key else 'a'} key", code="wants-a-key"
            ) from None
        return None
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return None
