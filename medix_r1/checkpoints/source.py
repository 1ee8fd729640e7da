"""Finds the checkpoint to merge and checks that it is complete. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path

from medix_r1.errors import CheckpointError
from medix_r1.runs import checkpoints


def find(path: Path) -> Path:
    """The checkpoint of a path: itself, or the newest complete one of a run folder.

    Raises:
        CheckpointError: there is none, it is incomplete, or FSDP did not write it.
    """
    path = path.absolute()
    if not path.is_dir():
        raise CheckpointError(
            f"{path}: there is no such folder; give RUN/checkpoints/global_step_N or RUN", code="no-such-folder"
        )
    if path.name.startswith("global_step_"):
        checkpoints.step_of(path)
        newest: Path | None = path
    else:
        newest = checkpoints.latest(path / "checkpoints") or checkpoints.latest(path)
    if newest is None:
        raise CheckpointError(f"{path}: no whole checkpoint in there", code="no-whole-checkpoint")
    if not checkpoints.is_whole(newest):
        raise CheckpointError(
            f"{newest}: not a whole checkpoint (its save was cut, or files are missing)", code="not-whole"
        )
    ranks_of(newest / "actor")
    return newest


def best_of(run: Path) -> Path:
    """The checkpoint of a run with the best held-out reward.

    Raises:
        CheckpointError: the run has no saved checkpoint of a validated step.
    """
    folder = checkpoints.best(run / "checkpoints")
    if folder is None:
        raise CheckpointError(
            f"{run} has no best checkpoint: no validated step was saved (run.best_metric)", code="no-best-checkpoint"
        )
    return folder


def ranks_of(actor: Path) -> int:
    """The number of ranks that saved a checkpoint.

    Raises:
        CheckpointError: FSDP did not write it, or shards are missing.
    """
    try:
        ranks = int(json.loads((actor / "fsdp_config.json").read_text(encoding="utf-8"))["world_size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{actor}: no fsdp_config.json with a world size; only FSDP checkpoints merge", code="not-fsdp"
        ) from None
    shards = [actor / f"model_world_size_{ranks}_rank_{rank}.pt" for rank in range(ranks)]
    if missing := [shard.name for shard in shards if not shard.is_file()] or ([] if shards else ["every shard"]):
        raise CheckpointError(f"{actor}: {', '.join(missing)} missing", code="files-missing")
    return ranks
