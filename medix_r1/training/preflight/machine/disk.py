"""Checks whether a run's checkpoints fit on its disk, from tensor sizes in the model's files; loads nothing."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.host.folders import FolderFault, existing_part, kernel_fault
from medix_r1.model_names import VISION_TOWERS
from medix_r1.runs.checkpoints import all_folders
from medix_r1.runs.folder import RunFolder
from medix_r1.training.preflight.machine import memory
from medix_r1.training.preflight.model import known_models
from medix_r1.training.preflight.model.model_folder import snapshot, tensor_sizes, weight_files
from medix_r1.training.preflight.rows import batches

GIB = 1024**3
_LEAST = GIB  # for logs, samples and metrics; all that is asked for if the model's size is unknown


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Checkpoints that are on the disk at the same time, at most."""

    number: int
    size: int  # bytes of each


def folder_problems(config: DictConfig) -> Iterator[Problem]:
    """A run folder that no machine can have."""
    folder = Path(config.run.dir).expanduser().absolute()
    for key, text in (("run.name", config.run.name), ("run.dir", config.run.dir)):
        if not text.isprintable() or (key == "run.name" and {".", ".."} & {*text.split("/")}):
            yield Problem(key, "no-folder-name", f"{text!r} is no name of a folder; take letters, digits, - and _")
    if fault := kernel_fault(folder):
        yield Problem("run.dir", fault.code, fault.says)


def disk_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems: a folder that cannot be written to, too little space, keep_checkpoints below 1."""
    if (keep := config.run.keep_checkpoints) is not None and keep < 1:
        yield Problem(
            "run.keep_checkpoints",
            "keeps-no-checkpoint",
            f"{keep} would keep none; use at least 1, or null to keep all",
        )
    folder = Path(config.run.dir).expanduser().absolute()
    existing = existing_part(folder)
    if isinstance(existing, FolderFault):
        yield Problem("run.dir", existing.code, existing.says)
        return
    free = shutil.disk_usage(existing).free
    if free < _LEAST:
        yield Problem(
            "run.dir",
            "disk-full",
            f"only {free / GIB:.1f} GiB are free on the disk of {existing}; at least 1 GiB is needed",
        )
        return
    planned = checkpoints(config)
    there = len(all_folders(RunFolder(folder).checkpoints))
    if planned and free < (needed := max(planned.number - there, 1) * planned.size):
        yield Problem(
            "run.dir",
            "disk-too-small",
            f"{free / GIB:.0f} GiB are free on the disk of {existing}; {planned.number} checkpoints of about "
            f"{planned.size / GIB:.0f} GiB lie there at one time, {there} do already, so {needed / GIB:.0f} GiB are "
            "needed; take another disk, or a smaller run.keep_checkpoints",
        )


def checkpoints(config: DictConfig) -> Checkpoints | None:
    """The most checkpoints at one time, with the best and the one being written; None if none or of unknown size."""
    sizes = parameters(config.actor_rollout_ref.model.path)
    every = config.trainer.save_freq
    if sizes is None or every < 1:
        return None
    whole, vision = sizes
    actor = config.actor_rollout_ref.actor
    trained = 0 if config.actor_rollout_ref.model.lora_rank else whole - vision * actor.freeze_vision_tower
    contents = actor.checkpoint.save_contents
    size = memory.stored_bytes(actor) * (
        whole * ("model" in contents) + memory.optimizer_states(actor) * trained * ("optimizer" in contents)
    )
    saves, keep = _saves(config), config.run.keep_checkpoints
    kept = math.inf if keep is None else keep + 1 + (config.run.best_metric is not None)
    number = min(kept, math.inf if saves is None else saves)
    return Checkpoints(int(number) if number < math.inf else 2, size)


def _saves(config: DictConfig) -> int | None:
    """Checkpoints that a whole run writes; None if the number of steps is unknown."""
    steps = config.trainer.total_training_steps
    if steps is None:
        epoch = batches.of_config(config).steps_per_epoch
        steps = None if epoch is None else epoch * config.trainer.total_epochs
    return None if steps is None else max(1, math.ceil(steps / config.trainer.save_freq))


def parameters(model: str) -> tuple[int, int] | None:
    """Parameters of a model, and of its vision tower: of a known one, or from safetensors headers; None if unknown."""
    if (known := known_models.find(model)) is not None:
        return known.size.parameters, known.size.vision
    sizes: dict[str, int] = {}
    for file in weight_files(snapshot(model)):
        found = tensor_sizes(file)
        if found is None:  # model_folder.py reports it; a sum without it would be too small
            return None
        sizes |= found
    vision = [size for name, size in sizes.items() if set(name.split(".")) & set(VISION_TOWERS)]
    return (sum(sizes.values()), sum(vision)) if sizes else None
