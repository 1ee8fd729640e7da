"""Batch arithmetic: rollouts, updates, micro-batches and judge calls of a step, in verl's and EasyR1's terms.

verl's config counts prompts; inside, verl counts rows (prompts x rollouts). EasyR1 calls prompts a step
`rollout_batch_size`, and prompts an update `global_batch_size`. verl pads a step's rows to a common multiple of ranks
and mini-batches (verl/trainer/ppo/v1/trainer_base.py, `_get_required_batch_multiple`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow
import pyarrow.parquet as parquet
from omegaconf import DictConfig, ListConfig

from medix_r1.host.folders import named_path
from medix_r1.serving.checks import is_used, members
from medix_r1.training.preflight.rows.data_files import UnreadableFile, read_difficulties


@dataclass(frozen=True, slots=True)
class BatchArithmetic:
    """The sizes of a training step.

    Attributes:
        prompts: prompts a step.
        group: rollouts a prompt.
        mini_prompts: prompts an update (mini-batch).
        ranks: data-parallel ranks of the actor.
        epochs_per_step: passes over a step's rows (`ppo_epochs`).
        micro_batch: capacity of one forward and backward pass of a rank: rows, or tokens if `by_tokens`.
        by_tokens: whether micro-batches are filled by tokens (`use_dynamic_bsz`).
        longest: most tokens of a row, prompt and reply together.
        judges: judges that score a rollout.
        refills: most refill batches a step (dynamic sampling); 0 without a group filter.
        train_rows: rows of the training files; None if they cannot be counted.
    """

    prompts: int
    group: int
    mini_prompts: int
    ranks: int
    epochs_per_step: int
    micro_batch: int
    by_tokens: bool
    longest: int
    judges: int
    refills: int
    train_rows: int | None

    @property
    def rollouts(self) -> int:
        return self.prompts * self.group

    @property
    def mini_rows(self) -> int:
        return self.mini_prompts * self.group

    @property
    def padded(self) -> int:
        """Rows of a step, padding included."""
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
    def micro_batches(self) -> int:
        """Micro-batches of a rank in an update (gradient accumulation steps); an upper bound if `by_tokens`."""
        rows = self.mini_rows / self.ranks
        if self.by_tokens:  # verl/utils/seqlen_balancing.py, `rearrange_micro_batches`
            return math.ceil(min(rows, rows * self.longest / self.micro_batch))
        return math.ceil(rows / self.micro_batch)

    @property
    def judge_calls(self) -> int:
        """Most judge calls of a step without refills; equal answers are judged once."""
        return self.rollouts * self.judges

    @property
    def steps_per_epoch(self) -> int | None:
        return None if self.train_rows is None else self.train_rows // self.prompts  # verl drops the last, short batch

    @property
    def divides(self) -> bool:
        """Whether prompts divide into mini-batches and these among the ranks, which verl requires."""
        return self.mini_rows % self.ranks == 0 and self.prompts % self.mini_prompts == 0

    def suggestions(self) -> Iterator[str]:
        """Overrides for batch sizes near the configured ones that need no padding."""
        unit = self.ranks // math.gcd(self.ranks, self.group)  # prompts whose rows divide among the ranks
        minis = sorted(
            {max(unit, round(self.mini_prompts / unit + shift) * unit) for shift in (0, 1, -1)}, key=self._far
        )
        for mini in minis[:2]:
            prompts = max(mini, round(self.prompts / mini) * mini)
            yield f"data.train_batch_size={prompts} actor_rollout_ref.actor.ppo_mini_batch_size={mini}"

    def _far(self, mini: int) -> int:
        return abs(mini - self.mini_prompts)

    def lines(self) -> dict[str, str]:
        """The rows that `medix-r1 check` prints: name → explanation."""
        filled = f"{self.micro_batch} tokens" if self.by_tokens else f"{self.micro_batch} rows"
        most = "at most " if self.by_tokens else ""
        passes = self.micro_batches * self.updates
        again = self.judge_calls * self.refills
        refills = f", and {again} more for groups that are generated anew (run.max_refills={self.refills})"
        epoch = "unknown" if self.steps_per_epoch is None else f"{self.steps_per_epoch} ({self.train_rows} questions)"
        return {
            "prompts a step": f"{self.prompts}  (verl: data.train_batch_size; EasyR1: rollout_batch_size)",
            "rollouts a step": f"{self.prompts} x {self.group} = {self.rollouts}",
            "judge calls a step": f"at most {self.judge_calls}{refills if again else ''}; retries are not counted",
            "mini-batch": (
                f"{self.mini_prompts} prompts = {self.mini_rows} rollouts an update"
                "  (verl: ppo_mini_batch_size; EasyR1: global_batch_size)"
            ),
            "updates a step": f"{self.updates}",
            "micro-batches": (
                f"of {filled} a rank: {most}{self.micro_batches} an update ({self.mini_rows / self.ranks:g} rollouts), "
                f"{most}{passes} a step"
            ),
            "padding": (
                f"{self.padding} rows ({self.rollouts} -> {self.padded}); {self.real_per_update:.0f} of "
                f"{self.mini_rows} rows of an update are real"
            ),
            "steps an epoch": epoch,
        }


def of_config(config: DictConfig) -> BatchArithmetic:
    """The arithmetic of a composed training config."""
    actor = config.actor_rollout_ref.actor
    parallel = sequence_parallel(actor)
    filtered = config.trainer.v1.sampler.sampler_kwargs.filter.signal is not None
    by_tokens = bool(actor.use_dynamic_bsz)
    tokens, rows = actor.ppo_max_token_len_per_gpu * parallel, actor.ppo_micro_batch_size_per_gpu
    return BatchArithmetic(
        prompts=int(config.data.train_batch_size),
        group=int(config.actor_rollout_ref.rollout.n),
        mini_prompts=int(actor.ppo_mini_batch_size),
        ranks=max(1, int(config.trainer.nnodes) * int(config.trainer.n_gpus_per_node) // parallel),
        epochs_per_step=int(actor.ppo_epochs),
        micro_batch=int(tokens if by_tokens else rows or 1),
        by_tokens=by_tokens,
        longest=int(config.data.max_prompt_length + config.data.max_response_length),
        judges=_judges(config),
        refills=int(config.run.max_refills) if filtered else 0,
        train_rows=_train_rows(config),
    )


def sequence_parallel(actor: DictConfig) -> int:
    """GPUs that share one row (Ulysses); verl's old key wins if it is above 1 (FSDPActorConfig)."""
    old = int(actor.get("ulysses_sequence_parallel_size") or 1)
    return old if old > 1 else int(actor.fsdp_config.get("ulysses_sequence_parallel_size") or 1)


def _judges(config: DictConfig) -> int:
    return len(members(config.judge.client)) if is_used(config, "judge") else 0


def data_files(config: DictConfig, key: str) -> list[str]:
    """`data.train_files` or `data.val_files`, which may be one name or several."""
    named = config.data[key]
    several = named if isinstance(named, ListConfig) else [] if named is None else [named]
    return [str(name) for name in several]


def _train_rows(config: DictConfig) -> int | None:
    rows, most = _rows(data_files(config, "train_files")), config.data.get("train_max_samples", -1)
    if config.data.curriculum.band is not None:
        rows = _rows_in_band(config)
    return min(rows, most) if rows is not None and isinstance(most, int) and most > 0 else rows


def _rows_in_band(config: DictConfig) -> int | None:
    paths, band = [named_path(name) for name in data_files(config, "train_files")], config.data.curriculum.band
    try:
        rates = read_difficulties(paths)
    except (OSError, UnreadableFile):
        return None  # reported by difficulty.py and data_rows.py
    return sum(isinstance(rate, int | float) and min(band) <= rate <= max(band) for rate in rates) if band else None


def _rows(files: Sequence[str]) -> int | None:
    paths = [named_path(name) for name in files]
    if not all(path.is_file() and path.suffix == ".parquet" for path in paths):
        return None
    try:
        return sum(parquet.read_metadata(path).num_rows for path in paths)
    except (OSError, pyarrow.ArrowInvalid):  # no parquet file, whatever its name
        return None
