"""The sampler, with verl's buffer replaced: what it gives the trainer, drops, counts and refuses."""

from collections import Counter, defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from transfer_queue import KVBatchMeta

from medix_r1.errors import JudgeUnavailable, NothingToTrainOn
from medix_r1.runs.folder import read_lines
from medix_r1.training.verl_plugin import rollouts, sampler
from medix_r1.training.verl_plugin.rollouts import prompt_name
from medix_r1.training.verl_plugin.sampler import MedixAsyncSampler, MedixSamplerMixin
from tests.support.problems import coded
from tests.support.rollouts import BLANK


class Buffer:
    """Stands for verl's: hands out what a test has put there, one batch a call."""

    waiting: dict[str, list[Any]]

    def __init__(self, **settings):
        self.settings, self.batches = settings, []
        self.refill_fn = settings["refill_fn"]
        self.partitions, self.failure_keys = defaultdict(dict), defaultdict(set)
        self.finished_keys = defaultdict(set)
        self.prompt_global_steps = defaultdict(dict)
        self._dapo_classification_cache = defaultdict(dict)

    def _sync_metadata_from_transfer_queue(self):
        """Groups that a test left in `waiting` have finished."""
        for uid, group in self.waiting.items():
            self.finished_keys["train"].add(uid)
            self.prompt_global_steps["train"][uid] = 3
            self.partitions["train"] |= {rollout.key: {"response_len": 1} for rollout in group}

    def _clear_groups(self, partition_id, uids):
        self.dropped = uids

    def _materialize_batch(self, partition_id, selected_prompt_uids, partition_snapshot):
        return KVBatchMeta(partition_id=partition_id, keys=[*partition_snapshot], tags=[{}] * len(partition_snapshot))

    def sample(self, global_steps, partition_id, batch_size):
        groups = self.batches.pop(0)
        uids = [uid for uid in ["v", "w"] if uid in self.failure_keys[partition_id]]  # lost as a whole
        uids += [group[0].uid for group in groups]
        return self._materialize_batch(partition_id, uids, {one.key: {} for group in groups for one in group}), {}


class Sampling(MedixSamplerMixin, Buffer):
    pass


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A sampler, what was cleared from TransferQueue, and the prompts that were asked for."""
    known, cleared, asked, put = {}, [], [], []

    def built(*batches, signal=None, max_refills=2):
        known.update({rollout.key: rollout for groups in batches for group in groups for rollout in group})
        sampling = Sampling(
            sampler_kwargs={
                "filter": {"signal": signal, "low": None, "high": None},
                "poll_interval": 1,
                "stall_limit": 1,
                "train_batch_size": 2,
                "max_refills": max_refills,
                "samples_dir": tmp_path,
                "samples": {"share": 1.0, "keep_steps": None},
            },
            refill_fn=lambda prompts: asked.append(prompts) or prompts,
        )
        sampling.batches = list(batches)
        return sampling

    def read(keys, tags, partition_id):
        return [known[key] for key in keys]

    for module in (rollouts, sampler):
        monkeypatch.setattr(module, "read_rollouts", read)
    queue = SimpleNamespace(
        kv_clear=lambda keys, partition_id: cleared.extend(keys),
        kv_batch_put=lambda keys, partition_id, tags: put.extend(zip(keys, tags, strict=True)),
    )
    for module in (rollouts, sampler):
        monkeypatch.setattr(module, "tq", queue)
    build: Any = built
    build.known, build.cleared, build.asked, build.put = known, cleared, asked, put
    build.samples = lambda step, split="train": list(read_lines(tmp_path / split / f"{step:06d}.jsonl"))
    return build


def group(uid, *values, **changes):
    """One rollout a value; None is a masked one."""
    return [
        replace(
            BLANK,
            key=f"{uid}_{i}_0",
            uid=uid,
            overall=value,
            masked=value is None,
            parts={"llm": value},
            failure=None if value is not None else "refused",
            **changes,
        )
        for i, value in enumerate(values)
    ]


def test_masked_samples_and_lone_survivors_are_not_trained_on(made):
    built = made([group("a", 1.0, 0.0, None), group("b", 1.0, None, None)])

    batch, metrics = built.sample(3, "train", 2)

    assert batch.keys == ["a_0_0", "a_1_0"]
    assert sorted(made.cleared) == ["a_2_0", "b_0_0", "b_1_0", "b_2_0"]
    assert metrics["reward/masked_share"] == metrics["reward/failed_share"] == pytest.approx(3 / 6)
    assert metrics["reward/dropped_share"] == pytest.approx(4 / 6)
    assert metrics["reward/overall/mean"] == pytest.approx(2 / 3)


def test_groups_that_lost_a_rollout_are_counted(made):
    """vLLM refuses a row, or a reward fails: verl marks its group and goes on with what is left."""
    built = made([group("a", 1.0, 0.0), group("b", 1.0)], [group("v", 1.0)])
    built.failure_keys["train"], built.failure_keys["val"] = {"b"}, {"v", "w"}

    _, metrics = built.sample(3, "train", 2)
    built.sample(3, "val", 2)

    assert (metrics["sampler/failed_groups"], metrics["sampler/failed_share"]) == (1.0, 0.5)
    assert built.failed_validation == 2


def test_a_failed_group_is_counted_once_in_the_step_that_takes_or_drops_it(made):
    """Of an asynchronous trainer some wait for a later step, and verl replaces others, which are in no batch."""
    built = made([group("a", 1.0, 0.0)], [group("b", 1.0, 0.0)], [group("c", 1.0, 0.0)])
    built.failure_keys["train"] = {"b", "gone", "later"}
    built._clear_groups("train", {"gone", "a stale one"})
    built.failure_keys["train"].discard("gone")

    counted = [built.sample(step, "train", 1)[1]["sampler/failed_groups"] for step in (3, 4, 5)]

    assert counted == [1.0, 1.0, 0.0]


def test_a_lost_judge_ends_the_step_and_its_samples_are_kept_to_look_at(made):
    built = made([group("a", 1.0, 0.0), group("b", None, None, outage=True)])

    with pytest.raises(JudgeUnavailable, check=coded("outage", "refused")):
        built.sample(3, "train", 2)

    assert len(made.samples(3)) == len(made.cleared) == 4


def test_a_validation_keeps_the_samples_of_all_its_batches(made):
    built = made([group("a", 1.0, None)], [group("b", 0.0)])
    for _ in range(2):
        built.sample(3, "val", 1)

    assert {row["key"] for row in made.samples(3, "validation")} == {"a_0_0", "a_1_0", "b_0_0"}
    assert len(built.validation) == 3
    assert not built.unjudged_validation


def test_a_validation_batch_that_nobody_could_judge_is_handed_over_and_noted(made):
    """verl cannot read an empty one, and the run would end without a checkpoint."""
    built = made([group("a", None, None)])

    batch, _ = built.sample(3, "val", 1)

    assert batch.keys == ["a_0_0", "a_1_0"]
    assert built.unjudged_validation
    assert all(rollout.masked for rollout in built.validation)


def test_groups_that_finished_in_an_outage_are_asked_again(made):
    built = made()
    built.waiting = {"a": group("a", 1.0, None), "b": group("b", 1.0, None, outage=True)}
    made.known.update({rollout.key: rollout for group in built.waiting.values() for rollout in group})

    built.requeue_after_outage("train")

    assert made.put == [("b", {"is_prompt": True, "status": "pending", "global_steps": 3})]
    assert not made.cleared  # verl clears the replies of what it asks again


def test_an_asynchronous_batch_with_an_outage_is_not_taken_out(made):
    built = made()
    built.waiting = {"a": group("a", 1.0, 0.0), "b": group("b", None, None, outage=True)}
    made.known.update({rollout.key: rollout for group in built.waiting.values() for rollout in group})
    built._sync_metadata_from_transfer_queue()

    with pytest.raises(JudgeUnavailable, check=coded("outage", "refused")):
        MedixAsyncSampler._materialize_batch(built, "train", ["a", "b"], {})
    assert not made.cleared


def test_prompts_that_the_loader_will_fetch_again_are_forgotten(made):
    built = made()
    names = [prompt_name(2, 7), prompt_name(3, 0), prompt_name(3, 1)]
    built.waiting = {name: group(name, 1.0) for name in names}

    built.drop_prompts_after(2)

    assert built.dropped == set(names[1:])


def test_an_empty_batch_samples_again_and_is_counted(made):
    built = made([group("a", None, None)], [group("b", 1.0, 0.0)])

    batch, metrics = built.sample(3, "train", 1)

    assert made.asked == [1]
    assert batch.keys == ["b_0_0", "b_1_0"]
    assert metrics["reward/masked_share"] == 0.5  # of all that were judged in this step
    assert metrics["reward/overall/masked_share"] == 0.0  # of the batch
    assert {row["key"] for row in made.samples(3)} == {"a_0_0", "a_1_0", "b_0_0", "b_1_0"}
    assert metrics["sampler/refilled_prompts"] == 1.0


def test_what_was_set_aside_belongs_to_its_step_alone(made):
    built = made([group("a", None, None)], [group("b", 1.0, 0.0)], [group("c", 1.0, 0.0)])
    built.sample(3, "train", 1)

    _, metrics = built.sample(4, "train", 1)

    assert metrics["reward/masked_share"] == 0.0
    assert {row["key"] for row in made.samples(4)} == {"c_0_0", "c_1_0"}


def test_refills_have_a_limit(made):
    built = made(*[[group(f"a{i}", None, None)] for i in range(9)], max_refills=2)  # of 2 prompts each

    with pytest.raises(NothingToTrainOn, check=coded("refill-limit", 5, "run.max_refills")):
        built.sample(3, "train", 1)

    assert made.asked == [1] * 4
    assert len(made.samples(3)) == 10  # to see why


def finished(built, *groups):
    """The groups as verl's buffer holds them once they are finished."""
    for group in groups:
        built.finished_keys["train"].add(group[0].uid)
        built.partitions["train"].update({rollout.key: {} for rollout in group})


def test_groups_that_teach_nothing_are_filtered_and_counted(made):
    same, differ, masked = group("a", 1.0, 1.0), group("b", 1.0, 0.0), group("c", 1.0, None)
    built = made([same, differ, masked], [differ], signal="llm")
    built.batches.pop(0)
    finished(built, same, differ, masked)

    assert built._dapo_filtered_keys("train") == ({"a", "c"}, Counter({1.0: 2}))

    _, metrics = built.sample(3, "train", 1)
    assert metrics["reward/masked_share"] == pytest.approx(1 / 6)  # the masked one of a filtered group counts
    assert {row["key"] for row in made.samples(3) if row["filtered"]} == {"a_0_0", "a_1_0", "c_0_0", "c_1_0"}


def test_a_group_that_lost_its_judge_is_never_filtered(made):
    """It would be generated anew, up to the limit, instead of stopping the run."""
    lost = group("a", None, None, outage=True)
    built = made([lost], signal="llm")
    finished(built, lost)

    assert built._dapo_filtered_keys("train") == (set(), Counter())
    with pytest.raises(JudgeUnavailable):
        built.sample(3, "train", 1)
