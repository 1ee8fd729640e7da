"""A validation asks a share of its rows again, with another row's picture or a grey one (`run.looking`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from torch.utils.data import DataLoader

from medix_r1.runs.samples_folder import looking_split
from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin.looking.measures import looking_metrics
from medix_r1.training.verl_plugin.looking.other_pictures import Kind, RowsWithPictures

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    class _Base(PPOTrainer):
        """verl's class, for the type checker alone; at run time it comes after ours in each trainer."""
else:
    _Base = object


class AsksAgain(_Base):
    """Mix-in for verl's trainer; goes before verl's class and before what changes its validation."""

    _rows_with_pictures: RowsWithPictures | None = None
    _asks_again = False
    val_dataloader: Any

    def looked(self, real: list[ScoredRollout]) -> dict[str, float]:
        """Ask rows again as `run.looking` says; `real` are the rollouts of the validation that has just ended.

        verl's validation runs with another loader. What it logs and writes of its own is left out, because it would
        take the place of what was logged of the real pictures.

        Raises:
            DataError: no validation row shows a picture, or all show the same.
        """
        settings = self.config.run.looking
        if not settings.share:
            return {}
        started = time.monotonic()
        if self._rows_with_pictures is None:
            self._rows_with_pictures = RowsWithPictures(self.val_dataset, settings.share)
        others = {kind: self._asked_with(kind, self._rows_with_pictures) for kind in settings.kinds}
        return looking_metrics(real, others) | {"looking/seconds": time.monotonic() - started}

    def _asked_with(self, kind: Kind, rows: RowsWithPictures) -> list[ScoredRollout]:
        buffer, theirs = self.replay_buffer, self.val_dataloader
        buffer.validation.clear()
        buffer.validation_split, self._asks_again = looking_split(kind), True
        self.val_dataloader = DataLoader(
            rows.with_others(kind),
            batch_size=theirs.batch_size,
            num_workers=theirs.num_workers,
            collate_fn=theirs.collate_fn,
        )
        try:
            super()._validate()
            return list(buffer.validation)
        finally:
            self.val_dataloader, self._asks_again = theirs, False
            buffer.validation_split = "validation"

    def _val_metrics_update(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        return {} if self._asks_again else cast("dict[str, float]", super()._val_metrics_update(*args, **kwargs))

    def _maybe_log_val_generations(self, *args: Any, **kwargs: Any) -> None:
        if not self._asks_again:
            super()._maybe_log_val_generations(*args, **kwargs)

    def _dump_generations(self, *args: Any, **kwargs: Any) -> None:
        if not self._asks_again:
            super()._dump_generations(*args, **kwargs)
