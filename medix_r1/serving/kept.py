"""A model server that lives as long as the command that asked for it: `medix-r1 serve` and `medix-r1 demo`.

The command starts this module as a process and holds the other end of its standard input. However the command ends
(Ctrl-C, `kill -9`), the pipe closes, and the server with all its children is ended: what the supervisor of a training
run does (medix_r1/processes.py), for a server alone.
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

from medix_r1 import processes
from medix_r1.errors import ServerError
from medix_r1.serving import server

_PATIENCE_AT_END = 20.0  # seconds the keeper gets to end the server


@contextlib.contextmanager
def served(settings: server.ServerSettings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a model for the length of a `with` block, which starts when the server is healthy.

    Args:
        settings: what to serve, on a port that is not 0.
        log: everything the server says is appended there.

    Yields:
        The process to wait for; it ends when the server does.

    Raises:
        ServerError: the server did not come up.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as file:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "medix_r1.serving.kept", str(log)],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the command alone, which then closes the pipe
            env=environment,
        )
    assert keeper.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it died at once; the next line says so
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
    """Read the first line of standard input and not a byte more: the rest is the pipe to watch."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            raise processes.Stopped
        line += byte
    return server.ServerSettings(**json.loads(line))


def main() -> int:
    """`python -m medix_r1.serving.kept LOG`, settings and then nothing on standard input."""
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
