from pathlib import Path

import pytest

from medix_r1.config import compose_train
from medix_r1.errors import ConfigError
from medix_r1.sweeps.expand import Sweep, expand, is_sweep
from medix_r1.sweeps.task import TrainTask
from tests.support.problems import codes


def names(*overrides: str) -> list[str]:
    return [job.name for job in expand(overrides).jobs]


def test_an_experiment_says_what_it_sweeps():
    sweep = expand(["experiment=nano_ablation_reward"])

    assert sweep.name == "nano_ablation_reward"
    assert sweep.folder == Path("outputs/sweeps/nano_ablation_reward")
    assert len(sweep.jobs) == 10
    assert sweep.jobs[1].name == "reward-composite__seed-2"
    assert sweep.jobs[1].folder == sweep.folder / "reward-composite__seed-2"
    assert sweep.jobs[1].overrides == (
        "reward=composite",
        "run.seed=2",
        "experiment=nano_ablation_reward",
        "run.dir='outputs/sweeps/nano_ablation_reward/reward-composite__seed-2'",
        "run.name='nano_ablation_reward__reward-composite__seed-2'",
    )


def test_a_narrowed_sweep_has_the_folders_of_the_whole_one():
    whole = names("experiment=nano_ablation_reward")
    some = names("experiment=nano_ablation_reward", "reward=composite,llm_embedding", "run.seed=2")

    assert some == ["reward-composite__seed-2", "reward-llm_embedding__seed-2"]
    assert set(some) < set(whole)


def test_the_command_line_sweeps_whatever_hydra_can():
    assert names("experiment=nano_cpu", "run.seed=range(1,4)") == ["seed-1", "seed-2", "seed-3"]
    assert len(names("experiment=nano_cpu", "algorithm=grpo,gdpo", "run.seed=1,2")) == 4
    weights = names("experiment=nano_cpu", "reward.weights={llm: 1},{llm: 0.5, embed: 0.5}")
    assert len(set(weights)) == 2
    assert all(name.startswith("weights-llm") and "{" not in name for name in weights)


def test_keys_that_end_alike_are_written_out():
    sweep = names(
        "experiment=nano_cpu", "trainer.v1.sampler.sampler_kwargs.poll_interval=0.1,0.2", "run.poll_interval=1,2"
    )

    assert sweep[0] == "trainer.v1.sampler.sampler_kwargs.poll_interval-0.1__run.poll_interval-1"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["experiment=nano_cpu"], ("-m", "nothing-swept")),
        (["experiment=nano_cpu", "run.seed=1,2", "run.dir=x"], ("run.dir", "set-by-each-run")),
        (["experiment=nano_cpu", "run.seed=1,2", "run.name=x"], ("run.name", "set-by-each-run")),
        (["experiment=nano_cpu", "run.seed=glob(*)"], ("-m", "nothing-swept")),
        (["experiment=nano_cpu", "run.seed=1,2", "hydra.sweeper=optuna"], ("hydra/sweeper", "not-a-choice")),
        (["experiment=nano_cpu", "hydra.sweeper.params={run.seed: 1}"], ("hydra.sweeper.params", "not-composed")),
        (["experiment=nano_cpu", "run.seed=interval(1,2)"], ("sweep", "not-composed")),
        (["experiment=nano_cpu", "run.sead=1,2", "trainer.nnodess=2"], ("trainer.nnodess", "no-such-key")),
        (["experiment=nano_cpuu", "run.seed=1,2"], ("experiment=nano_cpuu", "no-such-file")),
        (["experiment=nano_cpu", "run.seed=1,2", "hydra.sweeper._target_=a.B"], ("hydra/sweeper", "not-a-choice")),
    ],
)
def test_what_is_no_sweep_is_said(overrides, expected):
    with pytest.raises(ConfigError) as caught:
        expand(overrides)

    assert expected in codes(caught.value)


def test_an_experiment_can_be_a_sweep_without_the_option():
    assert is_sweep(["experiment=ablation_reward"])
    assert not is_sweep(["experiment=ablation_reward", "hydra.mode=RUN"])
    assert not is_sweep(["experiment=nano_cpu"])
    assert not is_sweep(["experiment=nothing"])


def test_slurm_composes_with_what_the_hardware_needs():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    sweep: Sweep = expand(["experiment=ablation_reward", "hydra/launcher=slurm", "hydra.launcher.partition=gpu"])
    launcher = sweep.config.hydra.launcher

    assert launcher._target_.endswith("submitit_launcher.SlurmLauncher")
    assert (launcher.partition, launcher.gpus_per_node, launcher.nodes, launcher.tasks_per_node) == ("gpu", 8, 1, 1)
    assert launcher.submitit_folder == "outputs/sweeps/ablation_reward/.submitit/%j"


@pytest.mark.parametrize(
    ("overrides", "gpus"),
    [
        ("placement=own_gpus", 8),
        ("placement=own_gpus placement.judge_gpus=[3] trainer.n_gpus_per_node=3", 4),
        ("placement=shared", 8),
    ],
)
def test_a_slurm_job_has_the_judges_gpus_too(overrides, gpus):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    sweep = expand(["experiment=ablation_reward", "judge=vllm", "hydra/launcher=slurm", *overrides.split()])
    assert sweep.config.hydra.launcher.gpus_per_node == gpus


def test_a_child_is_one_run_with_its_overrides_as_they_are():
    command = TrainTask(("/my configs",)).arguments(["experiment=nano_ablation_reward", "run.dir='a b; c'"])

    assert command[1:] == [
        "-m", "medix_r1.cli", "train", "--config-dir", "/my configs", "--", "hydra.mode=RUN",
        "experiment=nano_ablation_reward", "run.dir='a b; c'",
    ]  # fmt: skip


def test_an_interpolation_is_resolved_in_each_run():
    kept = ("data.seed=${run.seed}", "run.best_metric=${hydra:runtime.choices.experiment}")
    jobs = expand(["experiment=nano_cpu", "run.seed=1,2", *kept]).jobs
    found = [compose_train([*job.overrides, "hydra.mode=RUN"]) for job in jobs]

    assert [config.data.seed for config in found] == [1, 2]
    assert {config.run.best_metric for config in found} == {"nano_cpu"}


def test_equal_runs_are_planned_once():
    sweep = expand(["experiment=nano_cpu", "run.seed=1,1,2"])

    assert [job.name for job in sweep.jobs] == ["seed-1", "seed-2"]


def test_unknown_keys_of_a_sweep_come_all_together():
    with pytest.raises(ConfigError) as caught:
        expand(["experiment=nano_cpu", "run.seed=1,2", "worker.rollout.n=5", "run.sead=3"])

    assert set(codes(caught.value)) == {("worker.rollout.n", "other-name"), ("run.sead", "no-such-key")}
