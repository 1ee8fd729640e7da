"""What keeps a judge from answering, found before anything is started."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from medix_r1.serving import server


def judge_problems(config: DictConfig) -> Iterator[str]:
    """What keeps a judge from answering: its key, its address, its port, its model, vLLM."""
    client, settings = config.judge.client, config.judge.server
    variable = client.api_key_env
    if variable and not os.environ.get(variable):
        yield f"judge.client.api_key_env: the environment variable {variable} is not set"
    if settings is None:
        names = server.served_models(client.base_url, timeout=5.0, api_key=os.environ.get(variable or "", None))
        if names is None:
            yield f"judge.client.base_url: no judge answers at {client.base_url}; start one (medix-r1 serve) or mend it"
        elif client.model not in names:
            yield f"judge.client.model: {client.base_url} serves {', '.join(names)}, not {client.model}"
        return
    if not isinstance(settings.port, int) or not 0 <= settings.port <= 65535:
        yield f"judge.server.port: {settings.port!r} is not a port; choose 1 to 65535, or 0 for any free one"
    elif settings.port and not server.port_is_free(settings.host, settings.port):
        yield f"judge.server.port: {settings.host}:{settings.port} is in use; choose another, or 0 for any free one"
    local = Path(settings.model).expanduser()
    if settings.model.count("/") > 1 and not local.is_dir():
        hint = "; build the demo first: medix-r1 demo build" if "demo_dir" in config else ""
        yield f"judge.server.model: {settings.model} does not exist{hint}"
    if shutil.which("vllm") is None and not (Path(sys.executable).parent / "vllm").exists():
        yield "judge.server: `vllm` is not installed here; install an extra, or use judge=remote"
