"""`medix-r1 serve`: the judge of a config in the foreground, for training runs that attach with judge=remote."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, ServerError
from medix_r1.serving import server
from medix_r1.serving.checks import judge_problems
from medix_r1.serving.composed_judges import served_keys
from medix_r1.serving.kept import served


def serve(overrides: Sequence[str], console: Console) -> None:
    """Serve until Ctrl-C.

    Raises:
        ConfigError: the settings are wrong, the model is missing or the port is taken.
        ServerError: the server did not come up, or ended by itself.
    """
    settings = judge_settings(configs.compose_serve(overrides))
    log = new_log("medix-serve-")
    console.print(f"starting {settings.served_name} at {settings.address}/v1; log: {log}", highlight=False)
    try:
        with served(settings, log) as process:
            console.print(f"[green]ready[/] at {settings.address}/v1 (model {settings.served_name})", highlight=False)
            console.print(attach_hint(settings), "Ctrl-C ends it.", sep="\n", highlight=False, soft_wrap=True)
            _wait(process, log)
    except KeyboardInterrupt:
        console.print("stopped")


def judge_settings(config: DictConfig) -> server.ServerSettings:
    """The server settings of a composed config, checked, with a free port in place of 0.

    Raises:
        ConfigError: the config has no server (judge=remote), or the checks find problems.
    """
    if config.judge.server is None:
        raise ConfigError.of(
            "judge=remote", "judge-elsewhere", "that judge runs elsewhere; choose judge=vllm or judge=nano"
        )
    if config.judge.server.port == 0:
        config = OmegaConf.merge(config, {"judge": {"server": {"port": server.free_port()}}})  # type: ignore[assignment]
    if problems := list(judge_problems(config)):
        raise ConfigError(problems)
    fields = OmegaConf.to_container(config.judge.server, resolve=True)
    assert isinstance(fields, dict)
    return server.ServerSettings(**{str(key): value for key, value in fields.items()})


def attached(config: DictConfig, settings: server.ServerSettings, address: str | None = None) -> list[str]:
    """Overrides that make a training config use this server instead of starting one.

    Args:
        config: the config whose server it is.
        settings: those of the server.
        address: the server's address for clients; None takes the address on this machine.
    """
    return running_judge(config.judge, f"{address or settings.address}/v1", settings.served_name)


def running_judge(judge: DictConfig, address: str, model: str) -> list[str]:
    """Overrides with which a judge that runs already stands in for the one that a config would start.

    Args:
        judge: the config's node `judge`.
        address: of the running judge, ending in `/v1`.
        model: its name there.
    """
    return _asked_at(served_keys(judge.client, judge.server), address, model)


def _asked_at(keys: Sequence[str], address: str, model: str) -> list[str]:
    nodes = [key.replace("[", ".").replace("]", "") for key in keys]
    given = [(f"{node}.base_url={address}", f"{node}.model={model}") for node in nodes]
    return ["judge.server=null", *(override for pair in given for override in pair)]


def attach_hint(settings: server.ServerSettings) -> str:
    """The training command that uses this server; with the host's name if the server listens on all interfaces."""
    everywhere = settings.host in ("0.0.0.0", "::")
    address = f"http://{socket.gethostname()}:{settings.port}" if everywhere else None
    overrides = " ".join(_asked_at(["judge.client"], f"{address or settings.address}/v1", settings.served_name))
    return f"attach with: medix-r1 train experiment=... {overrides}"


def new_log(prefix: str) -> Path:
    """Create an empty log file in the temporary folder (securely, by `mkstemp`)."""
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".log")
    os.close(handle)
    return Path(name)


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    code = process.wait()
    raise ServerError(f"the judge server ended with code {code}; see {log}", code="server-ended")
