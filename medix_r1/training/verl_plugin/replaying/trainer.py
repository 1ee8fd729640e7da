"""A trainer that does one update again: from a checkpoint and a step's tokens, without vLLM and reward.

It goes verl's own way from the batch to the update (`_step_once`), so that the same numbers come out. `config.replay`
has: step, tokens (file), changes (JSON file: key → record and total, null for the reward as it was; absent keys are
left out), result (JSON file to write).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from medix_r1.errors import DataError
from medix_r1.host.files import atomic_write
from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin import pictures
from medix_r1.training.verl_plugin.patches.picture_files import opened
from medix_r1.training.verl_plugin.patches.shared_images import PICTURES
from medix_r1.training.verl_plugin.trainer import MedixTrainerMixin
from medix_r1.training.verl_plugin.watching import kept_tokens
from medix_r1.training.verl_plugin.watching.kept_tokens import StepTokens, row_name, uid_of

MODE = "medix_replay"


@register_trainer(MODE)
class ReplayTrainer(MedixTrainerMixin, PPOTrainerSync):
    """Loads the checkpoint, restores the batch, updates once and writes what came out."""

    verl_mode = "sync"
    _enable_hybrid_replicas = False  # nothing is generated
    curr_step_profile = False

    def on_init_end(self) -> None:
        """No replica needs the weights."""

    def on_sample_end(self) -> None:
        """No replica holds memory."""

    def fit(self, agent_loop_manager: Any) -> None:
        """Do the update, and write its metrics.

        Raises:
            DataError: a row or a picture of the step is not in the data any more.
        """
        asked = self.config.replay
        self.global_steps = int(asked.step)
        step = kept_tokens.read(Path(asked.tokens))
        batch = self._restored(step, json.loads(Path(asked.changes).read_text(encoding="utf-8")))
        self.replay_buffer = SimpleNamespace(sample=lambda **_: (batch, {}))
        metrics: dict[str, Any] = {}
        self._kept = step
        self._step_once(metrics, {}, len({uid_of(key) for key in batch.keys}))
        result = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
        atomic_write(Path(asked.result), json.dumps({"metrics": result, **self._log_probs, "machine": step.machine}))

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Compare the old log-probs with those that were kept."""
        again = kept_tokens.read_queue(batch)
        before = dict(zip(self._kept.keys, self._kept.column("old_log_probs"), strict=True))
        pairs = [(before[key], value) for key, value in zip(again.keys, again.column("old_log_probs"), strict=True)]
        self._log_probs = {
            "equal_log_probs": sum(torch.equal(one, other) for one, other in pairs),
            "samples": len(pairs),
            "largest_difference": max(float((one - other).abs().max()) for one, other in pairs if len(one)),
        }
        return super()._compute_advantage(batch, metrics)

    def _restored(self, step: StepTokens, changes: dict[str, Any]) -> KVBatchMeta:
        places = [place for place, key in enumerate(step.keys) if key in changes]
        columns = {name: step.column(name) for name in step.fields}
        found = []
        for place in places:
            key = step.keys[place]
            row = {name: column[place] for name, column in columns.items() if name != "old_log_probs"}
            row["prompts"] = step.prompt(key)
            row["input_ids"] = torch.cat([row["prompts"], row["responses"]])
            row["loss_mask"] = row["response_mask"]
            row["multi_modal_inputs"] = step.media[place]
            row |= {"uid": uid_of(key), "session_id": int(key.split("_")[1]), "num_turns": 2}
            row["extra_info"] = json.loads(step.rows[uid_of(key)])
            change = changes[key]
            if change["total"] is not None:
                row["rm_scores"] = torch.zeros_like(row["rm_scores"])
                row["rm_scores"][-1] = change["total"]
            record = ScoredRollout(**change["record"])
            row["extra_fields"] = {"reward_extra_info": record.to_verl()}
            found.append(row)
        keys, tags = [step.keys[place] for place in places], [step.tags[place] for place in places]
        self._store_pictures(step, keys)
        tq.kv_batch_put(keys=keys, partition_id="train", fields=list_of_dict_to_tensordict(found), tags=tags)
        return KVBatchMeta(partition_id="train", keys=keys, tags=tags, extra_info={})

    def _store_pictures(self, step: StepTokens, keys: Sequence[str]) -> None:
        with_pictures = {
            uid_of(key): media[PICTURES]
            for key, media in zip(step.keys, step.media, strict=True)
            if PICTURES in media and key in set(keys)
        }
        if not with_pictures:
            return
        names = [row_name(info) for info in self.train_dataset.dataframe.select_columns(["extra_info"])["extra_info"]]
        asyncio.run(self._put_pictures(step, with_pictures, names))

    async def _put_pictures(self, step: StepTokens, wanted: dict[str, Any], names: Sequence[str]) -> None:
        for uid, stored in wanted.items():
            sizes = tuple((height, width) for height, width in stored["sizes"])
            for place in (place for place, name in enumerate(names) if name == step.rows[uid]):
                images = await self._images(place)
                if pictures.storable(images) and pictures.sizes(images) == sizes:
                    await pictures.put(uid, images)
                    break
            else:
                says = f"{uid}: no row of data.train_files has its extra_info and pictures of its size any more"
                raise DataError(says, code="row-gone")

    async def _images(self, place: int) -> Any:
        """The pictures of a row, as the agent loop reads them."""
        messages = opened(self.train_dataset[place]["raw_prompt"])
        patch = getattr(getattr(self.processor, "image_processor", None), "patch_size", 14)
        images, _ = await type(self.train_dataset).process_vision_info(
            messages, image_patch_size=patch, config=self.config.data
        )
        return images or []
