"""What the trainer saves when a reward cannot be had any more, with verl's trainer replaced."""

from types import SimpleNamespace

import pytest

from medix_r1.errors import BudgetSpent, JudgeUnavailable, NothingToTrainOn, TrainingError
from medix_r1.training.verl_plugin.computing.equal_micro_batches import ROWS
from medix_r1.training.verl_plugin.looking.asking import SETTINGS
from medix_r1.training.verl_plugin.looking.loss import LookingLoss
from medix_r1.training.verl_plugin.trainer import MedixTrainer, MedixTrainerMixin
from tests.support.configs import composed


class Loader:
    position = 0

    def state_dict(self):
        return {"position": self.position}


class Verl:
    """Stands for verl's trainer: its hooks in the order of its `fit`, and errors where a test wants them."""

    unjudged = False

    def __init__(self, resumed_after=0):
        self.calls, self.saved = [], []
        self.global_steps, self.train_dataloader = resumed_after, Loader()
        self.checkpoint_manager = SimpleNamespace(abort_replicas=lambda: self.calls.append("abort"))
        self.replay_buffer = SimpleNamespace(validation=[], unjudged_validation=False)
        self.replay_buffer.drop_prompts_after = lambda step: self.calls.append(f"forget after {step}")
        self.replay_buffer.requeue_after_outage = lambda partition_id: self.calls.append(f"outage in {partition_id}")
        self.before_training = []
        self._watch = SimpleNamespace(asked=lambda request: False, before_training=self.before_training.append)
        self.config = SimpleNamespace(run=SimpleNamespace(looking=SimpleNamespace(share=0)))
        self._loader_state, self._last_saved_step, self._finished_step = None, -1, 0
        self.error = None

    def on_train_begin(self):
        pass

    def on_step_end(self):
        pass

    def on_sample_end(self):
        self.calls.append("sample_end")

    def step(self, metrics, timing_raw):
        self.train_dataloader.position += 1
        if self.error:
            raise self.error
        return "batch"

    def _validate(self):
        self.step({}, {})
        self.replay_buffer.unjudged_validation = self.unjudged
        return {"val-core/reward": 0.0}

    def _compute_old_log_prob(self, batch, metrics):
        self.calls.append(dict(batch.extra_info))
        batch.extra_info.update(calculate_entropy=True)
        return batch

    def _update_actor(self, batch, metrics):
        self.calls.append(dict(batch.extra_info))
        return batch

    def _reissue_inflight_prompts(self, partition_id="train"):
        self.calls.append("reissue")
        return 4


class Steps(MedixTrainerMixin, Verl):  # type: ignore[misc]
    __init__ = Verl.__init__

    def _save_checkpoint(self, loader_state=None):
        self.saved.append((self.global_steps, loader_state))
        self._last_saved_step = self.global_steps

    def train(self, steps):
        """As verl's `fit` counts."""
        self.global_steps += 1
        self.on_train_begin()
        for _ in range(steps):
            self.step({}, {})
            self.on_step_end()
            self.global_steps += 1


LOST = [JudgeUnavailable("gone"), BudgetSpent("cap"), NothingToTrainOn("all wrong")]


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_the_last_finished_step_is_saved_when_no_reward_can_be_had(error):
    trainer = Steps()
    trainer.train(2)
    trainer.error = error

    with pytest.raises(type(error)):
        trainer.step({}, {})

    assert trainer.saved == [(2, {"position": 2})]  # the loader is at 3 by now
    assert trainer.calls == ["abort", "sample_end", "forget after 2"]


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_a_judge_lost_in_a_validation_costs_no_finished_step(error):
    trainer = Steps()
    trainer.train(1)
    trainer.step({}, {})
    trainer.on_step_end()  # step 2; verl counts up after the validation
    trainer.error = error

    with pytest.raises(type(error)):
        trainer._validate()

    assert trainer.saved == [(2, {"position": 2})]


def test_nothing_is_saved_twice():
    trainer = Steps()
    trainer.train(1)
    trainer._last_saved_step = 1
    trainer.error = JudgeUnavailable("gone")

    with pytest.raises(JudgeUnavailable):
        trainer.step({}, {})

    assert trainer.saved == []


@pytest.mark.parametrize("resumed_after", [0, 7])
def test_nothing_is_saved_before_the_first_step(resumed_after):
    trainer = Steps(resumed_after)
    trainer.error = JudgeUnavailable("gone")

    with pytest.raises(JudgeUnavailable):
        trainer._validate()  # the one before training
    trainer.error = None
    trainer.train(0)
    trainer.error = JudgeUnavailable("gone")
    with pytest.raises(JudgeUnavailable):
        trainer.step({}, {})

    assert trainer.saved == []


def test_after_another_error_nothing_is_saved():
    """The actor that died may be the one that saves, and the run would hang."""
    trainer = Steps()
    trainer.train(1)
    trainer.error = TrainingError("FSDP worker 0 died")

    with pytest.raises(TrainingError):
        trainer.step({}, {})

    assert trainer.saved == []


@pytest.mark.parametrize(("unjudged", "metrics"), [(False, {"val-core/reward": 0.0}), (True, {})])
def test_verls_means_are_left_out_when_they_hold_what_nobody_judged(unjudged, metrics):
    trainer = Steps()
    trainer.unjudged = unjudged

    assert trainer._validate() == metrics | {"sampler/failed_validation_groups": 0.0}
    assert trainer.before_training == [metrics | {"sampler/failed_validation_groups": 0.0}]


def test_alarms_are_told_of_the_validation_before_the_first_step_alone():
    trainer = Steps(resumed_after=7)
    trainer._validate()
    assert trainer.before_training == []


def test_what_an_outage_left_unjudged_is_asked_again_on_resume():
    trainer = Steps()

    assert trainer._reissue_inflight_prompts() == 4
    assert trainer.calls == ["outage in train", "reissue"]


def test_verl_bootstraps_the_total_alone():
    """Each part would cost it a thousand draws a question; their means are heldout/…"""
    trainer = MedixTrainer.__new__(MedixTrainer)
    infos = {"reward": [0.0, 1.0], "llm": [0.0, 1.0], "format": [1.0, 1.0], "masked": [0.0, 0.0]}

    metrics = trainer._val_metrics_update(["slake"] * 2, ["a", "a"], infos, [], expected_acc_counts={})

    assert metrics["val-core/slake/reward/mean@2"] == 0.5
    assert {name.split("/")[2] for name in metrics} == {"reward"}


def test_old_log_probs_are_asked_for_in_the_updates_micro_batches():
    steps = Steps()
    steps.config = composed("experiment=nano_cpu", "actor_rollout_ref.actor.ppo_mini_batch_size=4")
    batch = SimpleNamespace(extra_info={"temperature": 1.0})

    assert steps._compute_old_log_prob(batch, {}) is batch

    assert steps.calls == [
        {"temperature": 1.0, ROWS: 4 * 5, "use_dynamic_bsz": True, "max_token_len_per_gpu": 4096},
    ]
    assert batch.extra_info == {"temperature": 1.0, "calculate_entropy": True}, "the reference goes its own way"


@pytest.mark.parametrize(("coefficient", "sent"), [(0, {}), (0.1, {SETTINGS: LookingLoss(0.1, 2.0, 0.0).to_text()})])
def test_an_update_is_asked_for_the_term_that_its_config_has(coefficient, sent):
    steps = Steps()
    steps.config = composed("experiment=nano_cpu", f"looking_loss.coefficient={coefficient}")
    batch = SimpleNamespace(extra_info={})

    assert steps._update_actor(batch, {}) is batch

    assert steps.calls == [sent]
    assert batch.extra_info == {}
