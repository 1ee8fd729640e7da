"""Replay-buffer sampler: selects the samples to train on, between reward and update.

verl loads it by `trainer.v1.sampler.custom_sampler`. It removes masked samples, and groups with fewer than two unmasked
ones. It filters groups without a learning signal: DAPO's dynamic sampling (arXiv 2503.14476, section 3.2), on a raw
signal instead of the shaped total. It stops a stalled run, and logs every part of the reward at every step.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from medix_r1.errors import JudgeUnavailable, NothingToTrainOn, TrainingError
from medix_r1.runs.group_filter import GroupFilter
from medix_r1.runs.samples_folder import SamplesFolder
from medix_r1.runs.scored_rollout import OVERALL, ScoredRollout
from medix_r1.training.verl_plugin.reward_metrics import reward_metrics, reward_tail, unscored_shares
from medix_r1.training.verl_plugin.rollouts import comparable, keep_only, read_batch, read_rollouts, step_of
from medix_r1.training.verl_plugin.watching.liveness import WorkerWatch

if TYPE_CHECKING:

    class _Base(ReplayBuffer):
        """verl's class, for the type checker alone; at run time it comes after ours in each class below."""
else:
    _Base = object


class MedixSamplerMixin(_Base):
    """Mix-in for verl's replay buffers, before verl's class in the list of bases.

    `sampler_kwargs` (YAML: `trainer.v1.sampler.sampler_kwargs`) has: poll_interval (s), stall_limit (s), samples_dir,
    max_refills (batches a step), train_batch_size, filter ({signal, low, high}; without a signal nothing is filtered).
    """

    def __init__(self, *, sampler_kwargs: Mapping[str, Any], refill_fn: Callable[[int], int], **kwargs: Any) -> None:
        group_filter = sampler_kwargs["filter"] if sampler_kwargs["filter"]["signal"] else None
        super().__init__(
            sampler_kwargs=sampler_kwargs,
            poll_interval=float(sampler_kwargs["poll_interval"]),
            refill_fn=self._refill,
            filter_groups_metric=group_filter["signal"] if group_filter else None,
            train_batch_size=int(sampler_kwargs["train_batch_size"]),
            gen_batch_size=1 if group_filter else int(sampler_kwargs["train_batch_size"]),
            **kwargs,
        )
        self._filter = GroupFilter(**group_filter) if group_filter else None
        self._submit = refill_fn
        self._max_refill_prompts = int(sampler_kwargs["max_refills"]) * int(sampler_kwargs["train_batch_size"])
        self._stall_limit = float(sampler_kwargs["stall_limit"])
        self._samples = SamplesFolder(Path(sampler_kwargs["samples_dir"]), **sampler_kwargs["samples"])
        self._step = 0
        self._refilled = 0  # prompts
        self._first_refill_at: float | None = None
        self._progress: tuple[int, int, int] = (0, 0, 0)
        self._progress_at = time.monotonic()
        self._discarded: list[ScoredRollout] = []  # this step: filtered groups, fully masked batches
        self.validation: list[ScoredRollout] = []
        self.validation_split = "validation"  # where its samples are written
        self.unjudged_validation = False  # one of its batches was fully masked
        self.failed_validation = 0  # its groups that lack a rollout, or are lost
        self.workers: WorkerWatch | None = None  # set by the trainer
        self.observed_signal: str | None = None  # set by a curriculum
        self._observed: dict[str, list[float]] = {}
        self._lost: dict[str, set[str]] = defaultdict(set)  # partition → groups that failed, not counted yet

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict[str, float]]:
        """Wait for `batch_size` finished groups; return their unmasked samples in a fixed order, and metrics.

        Raises:
            JudgeUnavailable: a rollout reports an outage: a server was down for longer than its patience, its cost cap
                is reached, or a signal has a bug.
            NothingToTrainOn: refills reached `max_refills`.
            TrainingError: a worker died, no rollout came back, or none finished for `stall_limit` seconds.
        """
        self._step, self._refilled, self._first_refill_at = global_steps, 0, None
        self._progress_at = time.monotonic()
        while True:
            try:
                batch, metrics = super().sample(global_steps, partition_id, batch_size)
            except RuntimeError as error:
                if "no materializable trajectories" not in str(error):
                    raise
                raise TrainingError(
                    "no rollout of this step came back: vLLM or an agent-loop worker died, or every prompt failed; the "
                    "first error in the log says which",
                    code="no-rollout",
                ) from error
            failed = len(self._lost[partition_id])
            if failed and self.workers is not None:
                self.workers.check_now()  # otherwise verl trains on what is left of these groups
            rollouts = read_batch(batch)
            if partition_id != "val":
                self._observe(rollouts)
            everything = rollouts + (self.validation if partition_id == "val" else self._discarded)
            self._samples.write(self.validation_split if partition_id == "val" else "train", global_steps, everything)
            if outage := next((rollout.failure for rollout in rollouts if rollout.outage), None):
                tq.kv_clear(keys=batch.keys, partition_id=partition_id)
                raise JudgeUnavailable(outage, code="outage")
            if partition_id == "val":
                self.validation.extend(rollouts)
                judged = [rollout for rollout in rollouts if not rollout.masked]
                self.unjudged_validation |= not judged
                self.failed_validation += failed
                self._lost[partition_id].clear()
                return keep_only(batch, judged or rollouts), metrics  # verl fails on an empty batch
            batch = keep_only(batch, [rollout for rollout in comparable(rollouts) if not rollout.masked])
            if len(batch):
                self._discarded = []
                self._lost[partition_id].clear()
                dropped = 1.0 - len(batch) / len(rollouts)
                rewards = reward_metrics(rollouts, "reward") | unscored_shares(everything, "reward")
                return batch, metrics | rewards | {
                    "reward/dropped_share": dropped,
                    "sampler/failed_groups": float(failed),
                    "sampler/failed_share": min(1.0, failed / batch_size),
                    "timing_s/reward_tail": reward_tail(rollouts),
                    **refill_metrics(metrics, batch_size, len(rollouts) / batch_size, self._refilled, self._waited()),
                }
            self._discarded = everything
            self.refill_fn(batch_size)  # fully masked: request new prompts

    def _materialize_batch(
        self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: dict[str, dict[str, Any]]
    ) -> KVBatchMeta:
        """Note which of the chosen groups failed; of those that wait for a later step, none is counted yet."""
        self._lost[partition_id] |= self.failure_keys[partition_id] & set(selected_prompt_uids)
        batch: KVBatchMeta = super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)
        return batch

    def _clear_groups(self, partition_id: str, uids: set[str]) -> None:
        """Note which of the groups that verl drops failed: asynchronous trainers replace those without a word."""
        self._lost[partition_id] |= self.failure_keys[partition_id] & uids
        super()._clear_groups(partition_id, uids)

    def _waited(self) -> float:
        return 0.0 if self._first_refill_at is None else time.monotonic() - self._first_refill_at

    def take_observed(self) -> dict[str, list[float]]:
        """Groups that finished since the last call: uid → values of the curriculum's signal, where a reply has one."""
        observed, self._observed = self._observed, {}
        return observed

    def _observe(self, rollouts: Sequence[ScoredRollout]) -> None:
        if self.observed_signal is not None:
            groups: dict[str, list[ScoredRollout]] = {}
            for rollout in rollouts:
                groups.setdefault(rollout.uid, []).append(rollout)
            for uid, group in groups.items():
                self._observed[uid] = values_of(group, self.observed_signal, "data.curriculum.signal")

    def requeue_after_outage(self, partition_id: str) -> None:
        """Set finished groups that report an outage back to pending, so that they are generated again.

        A checkpoint of an asynchronous run holds groups in flight. Some may have finished during the outage that ended
        the run, and their failure says nothing about the servers now.
        """
        self._sync_metadata_from_transfer_queue()
        groups = self._groups(partition_id, set(self.finished_keys[partition_id]))
        lost = [uid for uid, group in groups.items() if any(rollout.outage for rollout in group)]
        if lost:
            steps = self.prompt_global_steps[partition_id]
            tags = [{"is_prompt": True, "status": "pending", "global_steps": steps[uid]} for uid in lost]
            tq.kv_batch_put(keys=lost, partition_id=partition_id, tags=tags)

    def drop_prompts_after(self, step: int) -> None:
        """Delete all groups that were fetched after a step; a run that resumes from it fetches them again."""
        self._sync_metadata_from_transfer_queue()
        again = {uid for uid in self.prompt_global_steps["train"] if step_of(uid) > step}
        super()._clear_groups("train", again)  # not ours: what is fetched again is not lost

    def write_advantages(self, step: int, advantages: Mapping[str, float]) -> None:
        """Add advantages to the saved samples of a step; the trainer computes them after sampling."""
        self._samples.add_advantages(step, advantages)

    def _refill(self, num_prompts: int) -> int:
        self._refilled += num_prompts
        self._first_refill_at = self._first_refill_at or time.monotonic()
        if self._refilled > self._max_refill_prompts:
            self._samples.write("train", self._step, self._discarded)  # for diagnosis
            raise NothingToTrainOn(
                f"{self._refilled} prompts were generated anew in one step and still no batch is full: the groups "
                "teach nothing (all right or all wrong) or cannot be judged. Loosen algorithm.filter_groups, raise "
                "run.max_refills, or start from a better model.",
                code="refill-limit",
            )
        return self._submit(num_prompts)

    def _dapo_filtered_keys(self, partition_id: str) -> tuple[set[str], Counter[float]]:
        """Override verl's hook for its own filter; our verdict on each finished group is cached."""
        if partition_id == "val" or self._filter is None:
            return set(), Counter()
        cache = self._dapo_classification_cache[partition_id]
        finished = self.finished_keys[partition_id]
        for uid in cache.keys() - finished:
            del cache[uid]
        for uid, group in self._groups(partition_id, finished - cache.keys()).items():
            self._observe(group)
            values = values_of(group, self._filter.signal, "algorithm.filter_groups.metric")
            lost = any(rollout.outage for rollout in group)  # kept: `sample` must stop at it, not refill
            dropped = self._filter.drops(values) and not lost
            cache[uid] = (sum(values) / len(values) if values else -1.0) if dropped else None
            self._discarded += [replace(rollout, filtered=True) for rollout in group if dropped]
        means = [round(mean, 3) for mean in cache.values() if mean is not None]
        return {uid for uid, mean in cache.items() if mean is not None}, Counter(means)

    def _groups(self, partition_id: str, uids: set[str]) -> dict[str, list[ScoredRollout]]:
        tags = {key: tag for key, tag in self.partitions[partition_id].items() if key.split("_")[0] in uids}
        groups: dict[str, list[ScoredRollout]] = {uid: [] for uid in uids}
        for rollout in read_rollouts(list(tags), list(tags.values()), partition_id):
            groups[rollout.uid].append(rollout)
        return groups

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        if self.workers is not None:
            self.workers.raise_if_dead()
        state = (
            len(self.partitions[partition_id]),
            len(self.running_keys[partition_id]),
            len(self.finished_keys[partition_id]),
        )
        now = time.monotonic()
        if state != self._progress:
            self._progress, self._progress_at = state, now
        elif now - self._progress_at > self._stall_limit:
            raise TrainingError(
                f"no rollout has finished for {self._stall_limit:.0f} s (run.stall_limit): {state[1]} prompts are "
                "running, and no worker has died. One of them is stuck, or slower than the limit; the log says more.",
                code="stalled",
            )
        return super()._wait_for_next_poll(partition_id, last_debug_time)


class MedixSampler(MedixSamplerMixin, ReplayBuffer):
    """For the synchronous trainer: on-policy, each batch is generated by the weights that it updates."""


class MedixAsyncSampler(MedixSamplerMixin, ReplayBufferAsync):
    """For asynchronous trainers: takes the oldest finished groups and leaves the others in flight."""

    def _materialize_batch(
        self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: dict[str, dict[str, Any]]
    ) -> KVBatchMeta:
        """Raise at an outage before the batch leaves the buffer, so that a checkpoint still holds its prompts."""
        if partition_id == "train":
            groups = self._groups(partition_id, set(selected_prompt_uids)).values()
            rollouts = [rollout for group in groups for rollout in group]
            if outage := next((rollout.failure for rollout in rollouts if rollout.outage), None):
                self._samples.write("train", self._step, rollouts + self._discarded)
                raise JudgeUnavailable(outage, code="outage")
        batch: KVBatchMeta = super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)
        return batch


def values_of(group: Sequence[ScoredRollout], signal: str, key: str) -> list[float]:
    """Values of a signal, of the unmasked rollouts that have it; `key` is the setting that names it.

    Raises:
        TrainingError: the reward has no such part.
    """
    values = []
    for rollout in group:
        if signal != OVERALL and signal not in rollout.parts:
            raise TrainingError(f"{key}: the reward has no part '{signal}'", code="no-such-signal")
        value = rollout.value(signal)
        if not rollout.masked and value is not None:
            values.append(float(value))
    return values


def refill_metrics(
    evictions: Mapping[str, Any], batch_size: int, rollouts_per_prompt: float, refilled: int, seconds: float
) -> dict[str, float]:
    """Metrics of dynamic sampling in one step: groups dropped, and the cost of refills.

    Args:
        evictions: verl's counters; what it calls samples are groups.
        batch_size: groups in the batch.
        rollouts_per_prompt: rollouts in a group.
        refilled: prompts requested in refills.
        seconds: from the first refill until the batch was full.
    """
    filtered = float(evictions.get("training/filter_groups/evicted_samples", 0))
    surplus = float(evictions.get("training/filter_groups/discarded_surplus_samples", 0))
    return {
        "sampler/filtered_groups": filtered,
        "sampler/filtered_share": filtered / (filtered + surplus + batch_size),
        "sampler/surplus_groups": surplus,  # valid groups, discarded: verl requests two prompts to replace one
        "sampler/refilled_prompts": float(refilled),
        "sampler/refilled_rollouts": refilled * rollouts_per_prompt,
        "sampler/refill_seconds": seconds,
    }
