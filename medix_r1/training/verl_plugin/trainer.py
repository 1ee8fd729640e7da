"""verl's trainers with reproducible prompt uids, atomic checkpoints, and a checkpoint when a server is lost.

It holds only what the sampler cannot do. `trainer.v1.trainer_mode` is medix_sync, or medix_colocate_async: verl's
trainer that keeps generating the next batch while it trains.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
import transfer_queue as tq
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils

from medix_r1.errors import JudgeUnavailable, NothingToTrainOn, TrainingError
from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder
from medix_r1.training.verl_plugin import estimators, pictures
from medix_r1.training.verl_plugin.computing import equal_micro_batches
from medix_r1.training.verl_plugin.curriculum.loading import CurriculumRows
from medix_r1.training.verl_plugin.looking import asking
from medix_r1.training.verl_plugin.looking.validation import AsksAgain
from medix_r1.training.verl_plugin.patches.reward_parts import PartsForEstimators
from medix_r1.training.verl_plugin.patches.validation_bootstrap import BootstrapOfTheTotal
from medix_r1.training.verl_plugin.reward_metrics import heldout_metrics
from medix_r1.training.verl_plugin.rollouts import prompt_name
from medix_r1.training.verl_plugin.watching.kept_tokens import KeptTokens
from medix_r1.training.verl_plugin.watching.liveness import WorkerWatch, engines_of, workers_of
from medix_r1.training.verl_plugin.watching.watch import RunWatch

logger = logging.getLogger(__name__)

MODE = "medix_sync"
COLOCATE_ASYNC_MODE = "medix_colocate_async"

estimators.register()  # in the one process that computes advantages


class MedixTrainerMixin(AsksAgain, CurriculumRows, KeptTokens, PartsForEstimators, BootstrapOfTheTotal):
    """What both trainers of medix-r1 add to verl's; comes before verl's class."""

    verl_mode: ClassVar[str]
    global_steps: int

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._prompts_of_step = (-1, 0)  # the step, and the number of its prompts named so far
        self._loader_state: dict[str, Any] | None = None  # at the end of the last finished step
        self._last_saved_step = -1
        self._finished_step = 0
        self._watch = RunWatch(RunFolder(Path(config.run.dir)), config.alarms, config.run.best_metric)

    def _build_replay_buffer(self) -> Any:
        self.trainer_mode = self.verl_mode  # verl branches on this string, here and when it resumes
        return super()._build_replay_buffer()

    def fit(self, agent_loop_manager: Any) -> None:
        """Train until the last step.

        Raises:
            TrainingError: a worker died (the message names it), or an alarm ended the run.
        """
        with WorkerWatch(workers_of(self, agent_loop_manager), engines_of(self)) as watch:
            self.replay_buffer.workers = watch
            super().fit(agent_loop_manager)

    def _fetch_one_gen_batch(self) -> Any:
        """Replace verl's random prompt uids by `step…-prompt…`, so that order and seeds are equal in every run."""
        batch = super()._fetch_one_gen_batch()
        step, first = self._prompts_of_step
        if step != self.global_steps:
            first = 0
        self._prompts_of_step = (self.global_steps, first + len(batch))
        uids = [prompt_name(self.global_steps, first + i) for i in range(len(batch))]
        tensordict_utils.assign_non_tensor_stack(batch, "uid", uids)
        if self._curriculum is not None:
            self._curriculum.name(uids)
        return batch

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        """Run one step; if no more rewards can be had, save the last finished step, then raise."""
        with self._saving_finished_step():
            batch = super().step(metrics, timing_raw)
        metrics.update(self._learn())
        if self._watch.asked("checkpoint"):
            self._save_checkpoint()
            self._watch.done("checkpoint")
        return batch

    def _compute_metrics(self, batch: Any, metrics: dict[str, Any], timing_raw: dict[str, Any], **place: Any) -> None:
        """At a step's end: carry out requests, save advantages, check alarms, stop if asked."""
        if self._watch.asked("validate"):
            if not any(key.startswith("heldout/") for key in metrics):
                metrics.update(self._validate())
            self._watch.done("validate")
        super()._compute_metrics(batch, metrics, timing_raw, **place)
        self._write_advantages(batch)
        self._watch.look(self.global_steps, metrics)
        if self._watch.asked("stop") or self._watch.stop_reason:
            self._stop_here()

    def _compute_old_log_prob(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Compute the old log-probabilities in the micro-batches of the update."""
        settings = self.config.actor_rollout_ref
        with equal_micro_batches.asked_for(batch.extra_info, settings.actor, settings.rollout.n):
            return super()._compute_old_log_prob(batch, metrics)

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Update, with the term that asks for looking if `looking_loss` has a coefficient."""
        with asking.asked_for(batch.extra_info, self.config.looking_loss):
            return super()._update_actor(batch, metrics)

    def _write_advantages(self, batch: Any) -> None:
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
        rows = zip(batch.keys, batch.tags, data["advantages"].unbind(), strict=True)
        self.replay_buffer.write_advantages(
            self.global_steps,
            {key: float(row[0]) if len(row) else 0.0 for key, tag, row in rows if not tag.get("is_padding", False)},
        )

    def _stop_here(self) -> None:
        """Save a checkpoint of this step and end verl's loop, which compares with `total_training_steps`."""
        if self._last_saved_step != self.global_steps:
            self.on_sample_end()
            self._save_checkpoint(loader_state=self._loader_state)
        self.total_training_steps = self.global_steps

    def on_train_end(self) -> None:
        """Raise `TrainingError` if an alarm ended the run; a stop by request is no error."""
        super().on_train_end()
        if self._watch.asked("stop"):
            self._watch.done("stop")
        if self._watch.stop_reason:
            raise TrainingError(f"{self._watch.stop_reason} A checkpoint of that step was saved.", code="alarm")

    def _reissue_inflight_prompts(self, partition_id: str = "train") -> int:
        """Generate again, besides prompts in flight, groups that an outage before the restart left unscored."""
        self.replay_buffer.requeue_after_outage(partition_id)
        asked: int = super()._reissue_inflight_prompts(partition_id)
        return asked

    def on_step_begin(self) -> None:
        """Delete pictures of prompts that are done with: trained on, dropped or given up."""
        super().on_step_begin()
        rollouts = (tq.kv_list("train") or {}).get("train", {})
        pictures.clear(kept={key.split("_")[0] for key in rollouts})

    def on_train_begin(self) -> None:
        self._loader_state = copy.deepcopy(self.train_dataloader.state_dict())
        super().on_train_begin()
        self._last_saved_step = self._finished_step = self.global_steps - 1

    def on_step_end(self) -> None:
        super().on_step_end()
        self._loader_state = copy.deepcopy(self.train_dataloader.state_dict())
        self._finished_step = self.global_steps

    @contextmanager
    def _saving_finished_step(self) -> Iterator[None]:
        """Save the last finished step when the reward's servers are lost or refills reached their limit.

        Any other error may come from an actor that saving needs.
        """
        try:
            yield
        except (JudgeUnavailable, NothingToTrainOn):
            if self._finished_step not in (0, self._last_saved_step):
                self._save_finished_step()
            raise

    def _save_finished_step(self) -> None:
        """Save weights, data loader and prompts in flight as of the last step's end.

        Within a step the loader is already ahead, by the prompts that are dropped here.
        """
        self.checkpoint_manager.abort_replicas()  # refilled prompts may still be generating
        self.on_sample_end()  # frees vLLM's memory; saving may need it on a GPU
        self.replay_buffer.drop_prompts_after(self._finished_step)
        self.global_steps = self._finished_step
        self._save_checkpoint(loader_state=self._loader_state)

    def _save_checkpoint(self, loader_state: dict[str, Any] | None = None) -> None:
        """Save as verl does, then seal: a manifest of all files is written last, which makes the save atomic.

        A folder without a manifest is an interrupted save and is never resumed from.
        """
        super()._save_checkpoint()
        root = Path(self.config.trainer.default_local_dir)
        folder = root / f"global_step_{self.global_steps}"
        if loader_state is not None:
            torch.save(loader_state, folder / "data.pt")
        checkpoints.seal(folder)
        checkpoints.prune(root, keep=self.config.run.keep_checkpoints)
        self._last_saved_step = self.global_steps

    def _validate(self) -> dict[str, float]:
        """Validate and add our held-out metrics, which leave masked samples out of the means and count them.

        verl's own means are dropped if a batch was fully masked. Then rows are asked again with other pictures.
        """
        buffer = self.replay_buffer
        buffer.validation.clear()
        buffer.unjudged_validation, buffer.failed_validation = False, 0
        with self._saving_finished_step():
            metrics: dict[str, float] = super()._validate()
            ours = {"sampler/failed_validation_groups": float(buffer.failed_validation)}
            metrics = ({} if buffer.unjudged_validation else metrics) | heldout_metrics(buffer.validation) | ours
            metrics |= self.looked(list(buffer.validation))
        if self.global_steps == 0:
            self._watch.before_training(metrics)
        return metrics


@register_trainer(MODE)
class MedixTrainer(MedixTrainerMixin, PPOTrainerSync):
    """Synchronous trainer of medix-r1."""

    verl_mode = "sync"


@register_trainer(COLOCATE_ASYNC_MODE)
class MedixColocateAsyncTrainer(MedixTrainerMixin, PPOTrainerColocateAsync):
    """Asynchronous trainer of medix-r1: replies that are unfinished when a batch is full are continued after it.

    A checkpoint holds prompts in flight (verl saves TransferQueue with it), and those left unscored by an outage.
    """

    verl_mode = "colocate_async"
