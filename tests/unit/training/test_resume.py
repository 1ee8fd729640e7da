from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.training import launch, resume
from medix_r1.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def composed():
    return configs.compose_train(["experiment=nano_cpu", "judge.server.port=8123"])


@pytest.fixture(scope="module")
def saved(composed, tmp_path_factory):
    """The config as the launcher leaves it in a run's folder, resumed once already."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.create()
    checkpoint = folder.checkpoints / "global_step_5"
    launch._write_config(launch.Plan(composed, folder, checkpoint, []), Path("/tmp/ray"))
    return folder.config


def changed(config, **values):
    copy = config.copy()
    for key, value in values.items():
        OmegaConf.update(copy, key.replace("__", "."), value, force_add=True)
    return copy


def test_the_same_config_has_no_differences(saved, composed):
    """Although the launcher has written absolute paths, the resume path and Ray's folder into the saved one."""
    assert resume.differences(saved, composed) == []


def test_the_written_config_says_where_to_resume(saved):
    config = OmegaConf.load(saved)

    assert config.trainer.resume_mode == "resume_path"
    assert config.trainer.resume_from_path.endswith("/checkpoints/global_step_5")
    assert config.trainer.default_local_dir == str(saved.parent / "checkpoints")
    assert config.trainer.v1.sampler.sampler_kwargs.samples_dir == str(saved.parent / "samples")
    assert config.ray_kwargs.ray_init._temp_dir == "/tmp/ray"


SAFE = {
    "trainer__total_training_steps": 80,
    "trainer__total_epochs": 7,
    "trainer__test_freq": 3,
    "trainer__save_freq": 3,
    "trainer__val_before_train": False,
    "trainer__logger": ["file"],
    "run__keep_checkpoints": 1,
    "run__stall_limit": 5,
    "run__silence_limit": 6,
    "run__poll_interval": 3.0,
    "run__max_refills": 3,
    "judge__client__base_url": "http://elsewhere/v1",
    "judge__client__concurrency": 3,
    "judge__client__timeout": 3,
    "judge__client__patience": 3,
    "judge__client__cache_size": 3,
    "judge__client__api_key_env": "KEY",
    "judge__server__host": "0.0.0.0",
    "judge__server__start_timeout": 1,
    "ray_kwargs__ray_init__num_cpus": 4,
    "trainer__v1__sampler__sampler_kwargs__stall_limit": 5,
}
UNSAFE = {
    "run__seed": 2,
    "actor_rollout_ref__actor__optim__lr": 1e-3,
    "actor_rollout_ref__rollout__n": 8,
    "actor_rollout_ref__model__path": "/other",
    "algorithm__adv_estimator": "rloo",
    "data__train_files": "/other.parquet",
    "data__train_batch_size": 12,
    "reward__weights__llm": 0.9,
    "reward__think_element": "thinking",
    "reward__overlong": "mask",
    "judge__client__model": "another-judge",
    "judge__client__prompt": "match",
    "embedder__model": "other",
    "trainer__n_gpus_per_node": 2,
    "trainer__v1__sampler__sampler_kwargs__filter__signal": "llm",
}


# All in one comparison each: reading a saved config takes a while.
def test_what_may_change(saved, composed):
    found = {difference.key: difference for difference in resume.differences(saved, changed(composed, **SAFE))}

    assert {key: difference.now for key, difference in found.items()} == {
        key.replace("__", "."): value for key, value in SAFE.items()
    }
    assert [key for key, difference in found.items() if not difference.safe] == []


def test_what_may_not_change(saved, composed):
    found = {difference.key: difference for difference in resume.differences(saved, changed(composed, **UNSAFE))}

    assert found.keys() == {key.replace("__", ".") for key in UNSAFE}
    assert [key for key, difference in found.items() if difference.safe] == []


def test_all_differences_are_listed_as_readable_lines(saved, composed):
    now = changed(composed, run__seed=2, trainer__test_freq=3, reward__overlong="mask")

    assert [(str(difference), difference.safe) for difference in resume.differences(saved, now)] == [
        ("reward.overlong: 'reward' -> 'mask'", False),
        ("run.seed: 1 -> 2", False),
        ("trainer.test_freq: 10 -> 3", True),
    ]


def test_a_key_that_is_new_or_gone(saved, composed):
    gone, new = resume.differences(saved, changed(composed, run__extra=1, reward__overlong=None))

    assert (new.key, new.before, new.now) == ("run.extra", None, 1)
    assert (gone.key, gone.before, gone.now) == ("reward.overlong", "reward", None)


def test_the_copy_of_the_judge_is_not_compared(saved, composed):
    assert resume.differences(saved, changed(composed, reward__signals__llm__judge__base_url="http://x/v1")) == []


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    made.create()
    return made


def started(folder, composed):
    folder.log(1).touch()
    OmegaConf.save(composed, folder.config)


def test_an_empty_folder_may_be_started_in(folder, composed):
    assert resume.problems(folder, composed, []) == []


def test_a_checkpoint_of_the_folders_own_run_may_be_gone_on_from(folder, composed):
    started(folder, composed)
    (folder.checkpoints / "global_step_5").mkdir()

    assert resume.problems(folder, composed, []) == []


@pytest.mark.parametrize("missing", ["config.yaml", "logs/attempt_001.log"])
def test_a_checkpoint_that_nobody_wrote_here_is_refused(folder, composed, missing):
    started(folder, composed)
    (folder.root / missing).unlink()
    (folder.checkpoints / "global_step_5").mkdir()

    (problem,) = resume.problems(folder, composed, [])

    assert problem.startswith(
        f"run.dir: {folder.checkpoints / 'global_step_5'} was not written by a run of this folder"
    )
    assert "medix-r1 merge" in problem


def test_the_launcher_refuses_a_foreign_checkpoint_before_it_deletes_anything(folder):
    torn = folder.checkpoints / "global_step_5"
    torn.mkdir()

    with pytest.raises(ConfigError, match="was not written by a run of this folder"):
        launch.plan(["experiment=nano_cpu", f"run.dir={folder.root}"])

    assert torn.is_dir()


@pytest.mark.parametrize(
    ("key", "value"), [("trainer.resume_mode", "auto"), ("trainer.resume_from_path", "/elsewhere/global_step_5")]
)
def test_a_checkpoint_from_elsewhere_is_never_loaded(folder, composed, key, value):
    (problem,) = resume.problems(folder, changed(composed, **{key: value}), [])

    assert problem.startswith(f"{key}: ")


def test_verls_own_trainer_cannot_go_on(folder, composed):
    """It marks no checkpoint as whole, so the next start would take its own ones for leftovers."""
    started(folder, composed)
    (folder.checkpoints / "global_step_5").mkdir()
    config = changed(composed, trainer__v1__trainer_mode="separate_async")

    (problem,) = resume.problems(folder, config, [])

    assert "trainer.v1.trainer_mode=separate_async" in problem
    assert "run.dir" in problem


def test_a_refusal_names_the_harmless_changes_too(folder, composed):
    differences = [resume.Difference("data.seed", 1, 2), resume.Difference("trainer.test_freq", 1, 5)]

    (problem,) = resume.problems(folder, composed, differences)

    assert problem.startswith("data.seed: 1 -> 2: not safe")
    assert "trainer.test_freq: 1 -> 5" in problem
