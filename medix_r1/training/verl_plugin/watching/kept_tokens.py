"""`run.samples.tokens=true`: a file a step with all that its update was made of, but for the pictures.

Token ids, masks, positions, rewards by token and old log-probs of every sample that was trained on, in the order in
which the sampler gave them. Pictures are made again from the rows, of which the file has `extra_info`. Plain tensors
and containers alone, so that `torch.load(…, weights_only=True)` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transfer_queue as tq

from medix_r1.host.files import atomic_file
from medix_r1.host.machine import this_machine
from medix_r1.runs.folder import RunFolder
from medix_r1.training.verl_plugin.rollouts import plain, sort_key

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    class _Base(PPOTrainer):
        """verl's class, for the type checker alone; at run time it comes after ours in each trainer."""
else:
    _Base = object

_FIELDS = ("responses", "response_mask", "position_ids", "rm_scores", "old_log_probs", "rollout_log_probs")
_SMALLER = (torch.int8, torch.int16, torch.int32)


@dataclass(frozen=True, slots=True)
class StepTokens:
    """What a file holds.

    Attributes:
        keys, tags: verl's names of the samples, and what it says of each.
        fields: field → a tensor for each sample; whole numbers are stored as small as they fit.
        kinds: field → its dtype in training, such as `torch.int64`.
        prompts: uid → token ids.
        media: what the model gets beside tokens, for each sample: sizes of pictures, and where they stand.
        rows: uid → `extra_info` of the row, as JSON.
        machine: on which it was written.
    """

    keys: list[str]
    tags: list[dict[str, Any]]
    fields: dict[str, list[torch.Tensor]]
    kinds: dict[str, str]
    prompts: dict[str, torch.Tensor]
    media: list[dict[str, Any]]
    rows: dict[str, str]
    machine: str

    def column(self, name: str) -> list[torch.Tensor]:
        """A field in the dtype that it has in training."""
        kind = getattr(torch, self.kinds[name].removeprefix("torch."))
        return [value.to(kind) for value in self.fields[name]]

    def prompt(self, key: str) -> torch.Tensor:
        """Token ids of a sample's prompt."""
        return self.prompts[uid_of(key)].to(torch.int64)


class KeptTokens(_Base):
    """Mix-in for verl's trainer that keeps the tokens of a step if asked; goes before verl's class."""

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        if self.config.run.samples.tokens:  # before corrections change the masks
            folder = RunFolder(Path(self.config.run.dir))
            write(folder.tokens(self.global_steps), read_queue(batch))
            if (most := self.config.run.samples.keep_steps) is not None:
                for old in sorted(folder.tokens(0).parent.glob("*.pt"))[:-most]:
                    old.unlink(missing_ok=True)
        return super()._compute_advantage(batch, metrics)


def read_queue(batch: Any) -> StepTokens:
    """Read a batch from TransferQueue, without the rows that only pad it."""
    real = [(key, tag) for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
    real.sort(key=lambda pair: sort_key(pair[0]))
    keys = [key for key, _ in real]
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id)
    rows = [data[place] for place in range(len(keys))]
    fields = {name: [row[name].detach().cpu() for row in rows] for name in _FIELDS if name in data}
    infos = plain(data["extra_info"])
    return StepTokens(
        keys=keys,
        tags=[{name: _plain(value) for name, value in tag.items()} for _, tag in real],
        fields={name: [_small(value) for value in column] for name, column in fields.items()},
        kinds={name: str(column[0].dtype) for name, column in fields.items()},
        prompts={uid_of(key): _small(row["prompts"].cpu()) for key, row in zip(keys, rows, strict=True)},
        media=[_plain(value) for value in plain(data["multi_modal_inputs"])],
        rows={uid_of(key): row_name(info) for key, info in zip(keys, infos, strict=True)},
        machine=str(this_machine()),
    )


def write(path: Path, step: StepTokens) -> None:
    """Write a step's file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        torch.save(asdict(step), temporary)


def read(path: Path) -> StepTokens:
    """Read a step's file; nothing in it is executed."""
    return StepTokens(**torch.load(path, weights_only=True))


def uid_of(key: str) -> str:
    """Name of a sample's group."""
    return key.split("_")[0]


def row_name(extra_info: Mapping[str, Any] | None) -> str:
    """A row's `extra_info` as JSON, by which it is found again in the data."""
    return json.dumps(_plain(extra_info), sort_keys=True, ensure_ascii=False)


def _small(value: torch.Tensor) -> torch.Tensor:
    if value.dtype != torch.int64 or not value.numel():
        return value.clone()
    for kind in _SMALLER:
        if torch.iinfo(kind).min <= int(value.min()) and int(value.max()) <= torch.iinfo(kind).max:
            return value.to(kind)
    return value.clone()


def _plain(value: Any) -> Any:
    """Containers of Python's own and tensors, which `weights_only` reads."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, torch.Tensor) or value is None or isinstance(value, str | bool):
        return value
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return _plain(value.tolist())
    if isinstance(value, Sequence):
        return [_plain(entry) for entry in value]
    if isinstance(value, int | float):
        return value
    return str(value)
