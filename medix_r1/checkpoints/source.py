"""Finds the checkpoint to merge and checks its files, which anybody may have written. Imports no torch."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from medix_r1.checkpoints.json_files import read_object
from medix_r1.errors import CheckpointError
from medix_r1.runs import checkpoints

_SHARD = re.compile(r"model_world_size_(\d{1,9})_rank_(\d{1,9})\.pt")
_MOST_RANKS = 65_536
_LISTED = 10  # names in one message
_UNSEALED = "add --unsealed to merge it after checking what can be checked"


def find(path: Path, *, unsealed: bool = False) -> Path:
    """The checkpoint of a path: itself, the one that an `actor` folder belongs to, or the newest of a run folder.

    Args:
        path: may be or contain links.
        unsealed: take a checkpoint without our manifest, which verl or EasyR1 wrote alone, or an actor folder that lies
            anywhere.

    Raises:
        CheckpointError: there is none, it is incomplete or mixed, or FSDP did not write it.
    """
    path = path.resolve()
    if not path.is_dir():
        raise CheckpointError(
            f"{path}: there is no such folder; give RUN/checkpoints/global_step_N or RUN", code="no-such-folder"
        )
    if path.name == "huggingface" and path.parent.name == "actor":
        raise CheckpointError(
            f"{path}: the settings of a checkpoint, without its weights; give {path.parent.parent}",
            code="settings-without-weights",
        )
    if path.name == "actor" and checkpoints.is_checkpoint_name(path.parent.name):
        path = path.parent
    folder = (
        path if checkpoints.is_checkpoint_name(path.name) or _has_shards(actor_of(path)) else _newest(path, unsealed)
    )
    if not unsealed and not (folder / checkpoints.MANIFEST).is_file():
        raise CheckpointError(
            f"{folder}: not marked as whole: its save was cut, or verl wrote it without medix-r1; {_UNSEALED}",
            code="not-sealed",
        )
    actor = actor_of(folder)
    _check_files(actor)
    _check_manifest(folder, ("actor/model_", "actor/huggingface/") if unsealed else ("",))
    if not unsealed:
        _check_named(folder)
    ranks_of(actor)
    return folder


def actor_of(checkpoint: Path) -> Path:
    """The folder of the policy's shards in a checkpoint; with `--unsealed` the checkpoint may be that folder itself."""
    return checkpoint / "actor" if (checkpoint / "actor").is_dir() else checkpoint


def files_of(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint that a merge reads: shards and settings."""
    actor = actor_of(checkpoint)
    settings = (path for path in (actor / "huggingface").rglob("*") if path.is_file())
    return [*(path for path in actor.iterdir() if _SHARD.fullmatch(path.name)), *settings]


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
    """The number of ranks that saved a checkpoint, by fsdp_config.json or, without one, by the names of its shards.

    Raises:
        CheckpointError: FSDP did not write it, shards are missing, or some are of another save.
    """
    found = {(int(match[1]), int(match[2])) for path in actor.iterdir() if (match := _SHARD.fullmatch(path.name))}
    if (actor / "fsdp_config.json").exists():
        ranks = read_object(actor / "fsdp_config.json").get("world_size")
        if type(ranks) is not int or not 1 <= ranks <= _MOST_RANKS:
            raise CheckpointError(
                f"{actor / 'fsdp_config.json'}: world_size is no number of ranks", code="no-number-of-ranks"
            )
    elif not found:
        raise CheckpointError(
            f"{actor}: no shards of FSDP (model_world_size_W_rank_R.pt); only FSDP checkpoints merge",
            code="not-fsdp",
        )
    else:
        ranks = min(max(world for world, _ in found), _MOST_RANKS)
    wanted = [(ranks, rank) for rank in range(ranks)]
    if missing := [_name(*shard) for shard in wanted if not (actor / _name(*shard)).is_file()]:
        raise CheckpointError(f"{actor}: {_first(missing)} missing", code="files-missing")
    if extra := [_name(*shard) for shard in sorted(found - set(wanted))]:
        raise CheckpointError(
            f"{actor}: {_first(extra)} of another save beside those of {ranks} ranks; move it away",
            code="shards-of-another-save",
        )
    return ranks


def _newest(path: Path, unsealed: bool) -> Path:
    roots = [path / "checkpoints", path]
    newest = next((folder for root in roots if (folder := checkpoints.latest(root))), None)
    unmarked = [folder for root in roots for folder in checkpoints.all_folders(root)]
    if newest is None and unmarked and unsealed:
        return unmarked[-1]
    if newest is None and unmarked:
        raise CheckpointError(
            f"{path}: no whole checkpoint in there; {unmarked[-1].name} is not marked as one: {_UNSEALED}",
            code="no-whole-checkpoint",
        )
    if newest is None:
        raise CheckpointError(f"{path}: no checkpoint in there", code="no-whole-checkpoint")
    return newest


def _check_files(actor: Path) -> None:
    """Check that a checkpoint consists of its own regular files, with printable names.

    Raises:
        CheckpointError: a link leads out of it, or a name or kind of file is none that training writes.
    """
    if not actor.is_dir():
        raise CheckpointError(f"{actor}: there is no such folder", code="no-such-folder")
    for folder, folders, files in os.walk(actor):
        for path in (Path(folder) / name for name in (*folders, *files)):
            if not path.name.isprintable():
                raise CheckpointError(f"{str(path)!r}: not a name that training writes", code="odd-name")
            if path.is_symlink() and not path.resolve().is_relative_to(actor):
                raise CheckpointError(
                    f"{path} is refused: a link that leads out of the checkpoint; put the file in its place",
                    code="link-leads-out",
                )
            if path.exists() and not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISDIR(mode)):
                raise CheckpointError(f"{path} is refused: neither a file nor a folder", code="not-a-file")


def _check_manifest(folder: Path, prefixes: tuple[str, ...]) -> None:
    """Check the files of the manifest, if there is one, whose names begin with one of some prefixes."""
    if not (folder / checkpoints.MANIFEST).exists():
        return
    wrong = [name for name in checkpoints.wrong_files(folder) if name.startswith(prefixes)]
    if wrong:
        raise CheckpointError(
            f"{folder}: not a whole checkpoint: {_first(wrong)} missing or of another size", code="not-whole"
        )
    mixed = [name for name in checkpoints.changed_files(folder) if name.startswith(prefixes)]
    if mixed:
        raise CheckpointError(
            f"{folder}: {_first(mixed)} not as saved: of another save, or changed since", code="not-as-saved"
        )


def _check_named(folder: Path) -> None:
    """Check that the manifest names every file that a merge reads.

    Raises:
        CheckpointError: one came later.
    """
    named = checkpoints.recorded_files(folder)
    if later := sorted(name for path in files_of(folder) if (name := str(path.relative_to(folder))) not in named):
        raise CheckpointError(
            f"{folder}: {_first(later)} not among the files that were saved; move it away, or {_UNSEALED}",
            code="not-as-saved",
        )


def _has_shards(actor: Path) -> bool:
    return any(_SHARD.fullmatch(path.name) for path in actor.iterdir())


def _name(ranks: int, rank: int) -> str:
    return f"model_world_size_{ranks}_rank_{rank}.pt"


def _first(names: Iterable[str]) -> str:
    shown = list(names)
    rest = len(shown) - _LISTED
    return ", ".join(map(repr_if_odd, shown[:_LISTED])) + (f" and {rest} more" if rest > 0 else "")


def repr_if_odd(name: str) -> str:
    """A name, quoted and escaped if it has characters that cannot be printed."""
    return name if name.isprintable() else repr(name)
