"""The arithmetic of a batch: how many rollouts, updates and judge calls a step has, in everybody's words.

verl counts prompts in the config and rows (prompts x rollouts) inside; EasyR1 calls prompts a step `rollout_batch_size`
and prompts an update `global_batch_size`. verl pads a step's rows to a multiple that divides among ranks and
mini-batches (verl/trainer/ppo/v1/trainer_base.py, `_get_required_batch_multiple`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
from omegaconf import DictConfig, ListConfig


@dataclass(frozen=True, slots=True)
class BatchArithmetic:
    """What a step does.

    Attributes:
        prompts: questions a step.
        group: rollouts a question.
        mini_prompts: questions an update.
        ranks: data-parallel ranks that train.
        epochs_per_step: passes over a step's rows (`ppo_epochs`).
        rows_per_pass: rows that one forward and backward pass of a rank takes; None when it is by tokens.
        train_rows: questions in the training files; None when they cannot be counted.
    """

    prompts: int
    group: int
    mini_prompts: int
    ranks: int
    epochs_per_step: int
    rows_per_pass: int | None
    train_rows: int | None

    @property
    def rollouts(self) -> int:
        return self.prompts * self.group

    @property
    def mini_rows(self) -> int:
        return self.mini_prompts * self.group

    @property
    def padded(self) -> int:
        """Rows that are trained on, padding included."""
        multiple = math.lcm(self.ranks, self.mini_rows)
        return math.ceil(self.rollouts / multiple) * multiple

    @property
    def padding(self) -> int:
        return self.padded - self.rollouts

    @property
    def updates(self) -> int:
        return self.padded // self.mini_rows * self.epochs_per_step

    @property
    def real_per_update(self) -> float:
        """Rollouts in a mini-batch that are not padding, on average."""
        return self.rollouts * self.epochs_per_step / self.updates

    @property
    def steps_per_epoch(self) -> int | None:
        return None if self.train_rows is None else self.train_rows // self.prompts  # verl drops the last, short batch

    @property
    def divides(self) -> bool:
        """Whether mini-batches divide among the ranks, which verl demands."""
        return self.mini_rows % self.ranks == 0 and self.prompts % self.mini_prompts == 0

    def suggestions(self) -> Iterator[str]:
        """Batches near the configured one that need no padding."""
        unit = self.ranks // math.gcd(self.ranks, self.group)  # questions whose rows divide among the ranks
        minis = sorted(
            {max(unit, round(self.mini_prompts / unit + shift) * unit) for shift in (0, 1, -1)}, key=self._far
        )
        for mini in minis[:2]:
            prompts = max(mini, round(self.prompts / mini) * mini)
            yield f"data.train_batch_size={prompts} actor_rollout_ref.actor.ppo_mini_batch_size={mini}"

    def _far(self, mini: int) -> int:
        return abs(mini - self.mini_prompts)

    def lines(self) -> dict[str, str]:
        """What `medix-r1 check` prints: a name and an explanation."""
        per_pass = "by tokens" if self.rows_per_pass is None else f"{self.rows_per_pass} rows"
        epoch = "unknown" if self.steps_per_epoch is None else f"{self.steps_per_epoch} ({self.train_rows} questions)"
        return {
            "prompts a step": f"{self.prompts}  (verl: data.train_batch_size; EasyR1: rollout_batch_size)",
            "rollouts a step": f"{self.prompts} x {self.group} = {self.rollouts}  (at most as many judge calls)",
            "mini-batch": (
                f"{self.mini_prompts} prompts = {self.mini_rows} rollouts an update"
                "  (verl: ppo_mini_batch_size; EasyR1: global_batch_size)"
            ),
            "updates a step": f"{self.updates}",
            "a forward pass": f"{per_pass} a rank, {self.mini_rows / self.ranks:g} rollouts a rank and update",
            "padding": (
                f"{self.padding} rows ({self.rollouts} -> {self.padded}); {self.real_per_update:.0f} of "
                f"{self.mini_rows} rows of an update are real"
            ),
            "steps an epoch": epoch,
        }


def of_config(config: DictConfig) -> BatchArithmetic:
    """The arithmetic of a composed training config."""
    actor = config.actor_rollout_ref.actor
    sequence_parallel = int(actor.get("ulysses_sequence_parallel_size") or 1)
    return BatchArithmetic(
        prompts=int(config.data.train_batch_size),
        group=int(config.actor_rollout_ref.rollout.n),
        mini_prompts=int(actor.ppo_mini_batch_size),
        ranks=max(1, int(config.trainer.nnodes) * int(config.trainer.n_gpus_per_node) // sequence_parallel),
        epochs_per_step=int(actor.ppo_epochs),
        rows_per_pass=None if actor.use_dynamic_bsz else actor.ppo_micro_batch_size_per_gpu,
        train_rows=_rows(config.data.train_files),
    )


def _rows(files: str | ListConfig) -> int | None:
    paths = [Path(name).expanduser() for name in (files if isinstance(files, ListConfig) else [files])]
    if not all(path.is_file() and path.suffix == ".parquet" for path in paths):
        return None
    try:
        return sum(parquet.read_metadata(path).num_rows for path in paths)
    except pyarrow.ArrowInvalid:  # no parquet file, whatever its name
        return None
