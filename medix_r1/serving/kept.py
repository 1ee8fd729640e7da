"""Keeps a model server running exactly as long as the command that started it (`medix-r1 serve`, `medix-r1 demo`, …).

The command starts this module as a keeper process (medix_r1/host/processes.py) and holds the write end of its standard
input. However the command ends (Ctrl-C, `kill -9`), the pipe closes, and the keeper ends the server with all its
children.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from medix_r1.errors import ServerError
from medix_r1.host import processes
from medix_r1.serving import server

_PATIENCE_AT_END = 20.0  # seconds the keeper gets to end the server


@contextlib.contextmanager
def served(settings: server.ServerSettings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a model for the length of a `with` block, whose body starts when the server is ready.

    Args:
        settings: what to serve, on a port that is not 0.
        log: the server's output is appended there.

    Yields:
        The keeper process; it ends when the server does.

    Raises:
        ServerError: the server died, or was not ready in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as file:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "medix_r1.serving.kept", str(log)],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C then reaches only the command, which closes the pipe
            env=environment,
        )
    assert keeper.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # the keeper died at once: wait_until_ready raises then
            keeper.stdin.write(json.dumps(asdict(settings)).encode() + b"\n")
            keeper.stdin.flush()
        server.wait_until_ready(settings, keeper, log)
        yield keeper
    finally:
        with contextlib.suppress(BrokenPipeError):
            keeper.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(_PATIENCE_AT_END)


def _read_settings() -> server.ServerSettings:
    """Read the first line of standard input, unbuffered, so that `launcher_is_gone` sees the pipe close."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            raise processes.Stopped
        line += byte
    return server.ServerSettings(**json.loads(line))


def main() -> int:
    """`python -m medix_r1.serving.kept LOG`, with the settings as one line of JSON on standard input."""
    with processes.keeper():
        try:
            with Path(sys.argv[1]).open("ab") as log:
                return processes.wait_for(server.start(_read_settings(), log))
        except ServerError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        except processes.Stopped:
            return 0


if __name__ == "__main__":
    sys.exit(main())
