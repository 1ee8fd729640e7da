"""The verb `medix-r1 merge`. It checks what it can before it imports torch."""

from __future__ import annotations

import time
from pathlib import Path

from rich import filesize
from rich.console import Console

from medix_r1.checkpoints.options import Options
from medix_r1.checkpoints.source import find
from medix_r1.checkpoints.target import check_target, resolved
from medix_r1.errors import ConfigError


def merge_and_push(
    checkpoint: Path,
    out: Path,
    options: Options,
    *,
    force: bool,
    push: str | None,
    public: bool,
    console: Console,
) -> None:
    """Merge a checkpoint, upload the model if `push` names a repository, and print the result.

    Raises:
        ConfigError: `public` without `push`.
        CheckpointError: see `merge`, `push.prepare` and `push.upload`.
    """
    if public and push is None:
        raise ConfigError.of(
            "--public", "public-without-push", "it says who may see what --push uploads; give --push OWNER/NAME"
        )
    source = find(checkpoint, unsealed=options.unsealed)
    check_target(resolved(out), force=force)
    from medix_r1.checkpoints import merge as merging
    from medix_r1.checkpoints import push as hub

    started = time.monotonic()
    if push is not None:
        hub.prepare(push, public=public)
    merging.merge(source, out, force=force, options=options, console=console)
    size = sum(file.stat().st_size for file in out.iterdir())
    seconds = time.monotonic() - started
    console.print(f"merged {source} into {out}: {filesize.decimal(size)} in {seconds:.1f} s", highlight=False)
    if push is not None:
        console.print(f"uploaded to {hub.upload(out, push)}", highlight=False)
