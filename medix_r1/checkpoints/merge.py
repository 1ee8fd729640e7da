"""A training checkpoint as a model folder that transformers and vLLM load.

verl's own merger joins the shards, in a process of its own (it imports torch and talks a lot). Here stands what it does
not do: refuse what is no whole checkpoint, never leave half a model where one is expected, say what the model is.
A checkpoint is a pickle, so merging one runs whatever its author put in: merge only what you trust.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from medix_r1.checkpoints.model_card import model_card
from medix_r1.errors import CheckpointError
from medix_r1.training import checkpoint_folder

_TAIL = 15  # lines of verl's output shown with an error


def merge(checkpoint: Path, out: Path, *, force: bool = False) -> Path:
    """Merge a checkpoint, or the newest whole one of a run; returns the checkpoint that was taken.

    Args:
        checkpoint: RUN/checkpoints/global_step_N, or RUN.
        out: the model's folder; it appears when it is complete.
        force: replace a model that is already there.

    Raises:
        CheckpointError: there is no whole checkpoint, `out` is in the way, or verl's merger failed.
    """
    source, out = find(checkpoint), out.absolute()
    _check_room(out, force=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.merging")  # beside it: a rename works only within one disk
    shutil.rmtree(temporary, ignore_errors=True)  # of a merge that was cut
    try:
        _run_verl(source / "actor", temporary)
        _complete(source / "actor" / "huggingface", temporary)
        (temporary / "README.md").write_text(model_card(source), encoding="utf-8")
        _put_in_place(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return source


def find(path: Path) -> Path:
    """The checkpoint that is meant by a checkpoint folder or a run folder.

    Raises:
        CheckpointError: there is none, it is not whole, or it was not written by FSDP.
    """
    path = path.absolute()
    if not path.is_dir():
        raise CheckpointError(f"{path}: there is no such folder; give RUN/checkpoints/global_step_N or RUN")
    if path.name.startswith("global_step_"):
        checkpoint_folder.step_of(path)
        newest: Path | None = path
    else:
        newest = checkpoint_folder.latest(path / "checkpoints") or checkpoint_folder.latest(path)
    if newest is None:
        raise CheckpointError(f"{path}: no whole checkpoint in there")
    if not checkpoint_folder.is_whole(newest):
        raise CheckpointError(f"{newest}: not a whole checkpoint (its save was cut, or files are missing)")
    _check_shards(newest / "actor")
    return newest


def _check_shards(actor: Path) -> None:
    try:
        ranks = int(json.loads((actor / "fsdp_config.json").read_text(encoding="utf-8"))["world_size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(f"{actor}: no fsdp_config.json with a world size; only FSDP checkpoints merge") from None
    shards = [actor / f"model_world_size_{ranks}_rank_{rank}.pt" for rank in range(ranks)]
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise CheckpointError(f"{actor}: {', '.join(missing)} missing")


def _check_room(out: Path, *, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise CheckpointError(f"{out} exists; choose another folder, or replace it with --force")
    if not (out / "config.json").is_file():  # --force replaces a model, not somebody's home folder
        raise CheckpointError(f"{out} is not a model folder (no config.json); it is not replaced even with --force")


def _run_verl(actor: Path, target: Path) -> None:
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    command += ["--local_dir", str(actor), "--target_dir", str(target)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-_TAIL:])
        raise CheckpointError(f"verl could not merge {actor} (code {done.returncode})\n{tail}")


def _complete(huggingface: Path, target: Path) -> None:
    """Add what the merger left out of the checkpoint's own model files, and check that a loader finds all of it."""
    for file in sorted(huggingface.iterdir()):
        if file.is_file() and not (target / file.name).exists() and file.suffix in (".json", ".jinja", ".txt"):
            shutil.copyfile(file, target / file.name)
    wanted = [["config.json"], ["generation_config.json"], ["tokenizer_config.json"], ["*.safetensors"]]
    wanted.append(["chat_template.jinja", "chat_template.json"])
    if "vision_config" in json.loads((target / "config.json").read_text(encoding="utf-8")):
        wanted.append(["processor_config.json", "preprocessor_config.json"])
    for names in wanted:
        if not any(any(target.glob(name)) for name in names):
            raise CheckpointError(f"{huggingface.parent}: the merged model has no {' or '.join(names)}")
    for weights in target.glob("*.safetensors"):
        weights.chmod(0o644)  # written through a private temporary file; a server may run as another user


def _put_in_place(temporary: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(temporary, out)
    shutil.rmtree(old, ignore_errors=True)
