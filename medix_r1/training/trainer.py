"""verl's synchronous trainer with names that repeat, whole checkpoints, and a checkpoint when a server is lost.

Only what the sampler cannot do: `trainer.v1.trainer_mode=medix_sync`.
"""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import torch
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils

from medix_r1.errors import JudgeUnavailable
from medix_r1.training import checkpoint_folder
from medix_r1.training.samples import reward_metrics

logger = logging.getLogger(__name__)

MODE = "medix_sync"


@register_trainer(MODE)
class MedixTrainer(PPOTrainerSync):
    """Synchronous trainer of medix-r1."""

    global_steps: int

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._prompts_this_step = 0
        self._loader_state: dict[str, Any] | None = None  # as it was when the last step had finished
        self._last_saved_step = -1

    def _build_replay_buffer(self) -> Any:
        self.trainer_mode = "sync"  # verl chooses behaviour by this string, here and when it resumes
        return super()._build_replay_buffer()

    def _fetch_one_gen_batch(self) -> Any:
        """Rename verl's random prompt ids to `step…-prompt…`: order and seeds are then the same in every run."""
        batch = super()._fetch_one_gen_batch()
        uids = [f"step{self.global_steps:06d}-prompt{self._prompts_this_step + i:06d}" for i in range(len(batch))]
        self._prompts_this_step += len(batch)
        tensordict_utils.assign_non_tensor_stack(batch, "uid", uids)
        return batch

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        """Run one step; if the judge or another server of the reward is lost, keep the last finished step first."""
        self._prompts_this_step = 0
        try:
            return super().step(metrics, timing_raw)
        except JudgeUnavailable:
            self._save_last_finished_step()
            raise

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self._last_saved_step = self.global_steps - 1
        self._loader_state = copy.deepcopy(self.train_dataloader.state_dict())

    def on_step_end(self) -> None:
        super().on_step_end()
        self._loader_state = copy.deepcopy(self.train_dataloader.state_dict())

    def _save_last_finished_step(self) -> None:
        """Save weights and loader as they were at the last step's end; inside a step the loader is already ahead."""
        finished = self.global_steps - 1
        if finished < 1 or finished == self._last_saved_step:
            return
        self.checkpoint_manager.sleep_replicas()  # frees what the rollout holds; saving may need it on a GPU
        self.global_steps = finished
        self._save_checkpoint(loader_state=self._loader_state)

    def _save_checkpoint(self, loader_state: dict[str, Any] | None = None) -> None:
        """Save as verl does, then make it count: a manifest that names every file is written last.

        A folder without its manifest is an interrupted save and is never resumed from.
        """
        super()._save_checkpoint()
        root = Path(self.config.trainer.default_local_dir)
        folder = root / f"global_step_{self.global_steps}"
        if loader_state is not None:
            torch.save(loader_state, folder / "data.pt")
        checkpoint_folder.seal(folder)
        checkpoint_folder.prune(root, keep=self.config.run.keep_checkpoints)
        self._last_saved_step = self.global_steps

    def _validate(self) -> dict[str, float]:
        """Add our own held-out metrics: masked samples are left out of the means and counted."""
        self.replay_buffer.validation.clear()
        metrics: dict[str, float] = super()._validate()
        rollouts = self.replay_buffer.validation
        for source in sorted({rollout.source for rollout in rollouts}):
            metrics |= reward_metrics([r for r in rollouts if r.source == source], f"heldout/{source}")
        return metrics
