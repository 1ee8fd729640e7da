import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from omegaconf import OmegaConf

from medix_r1.errors import ConfigError
from medix_r1.runs import checkpoints, provenance
from medix_r1.runs.folder import RunFolder
from medix_r1.training.command import launch, resume
from medix_r1.training.command.plan import Plan, make_plan
from tests.support.configs import varied
from tests.support.problems import codes


@pytest.fixture(scope="module")
def composed():
    return varied("experiment=nano_cpu", "judge.server.port=8123")


@pytest.fixture(scope="module")
def saved(composed, tmp_path_factory):
    """The config as the launcher leaves it in a run's folder, resumed once already."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.create()
    checkpoint = folder.checkpoints / "global_step_5"
    launch._write_config(Plan(composed, folder, checkpoint, []), Path("/tmp/ray"))
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
    "judge__client__base_urls": ["http://another/v1"],
    "judge__client__unknown_model_patience": 3,
    "judge__client__requests_per_minute": 3,
    "judge__client__tokens_per_minute": 3,
    "judge__client__price_prompt": 3,
    "judge__client__price_completion": 3,
    "judge__client__cost_cap": 3,
    "judge__client__cache_size": 3,
    "judge__client__cache_path": "/cache",
    "judge__client__api_key_env": "KEY",
    "judge__server__host": "0.0.0.0",
    "judge__server__start_timeout": 1,
    "judge__server__restarts": 9,
    "ray_kwargs__ray_init__num_cpus": 4,
    "trainer__v1__sampler__sampler_kwargs__stall_limit": 5,
    "placement__judge": "own_node",
    "reward__num_workers": 3,
    "trainer__project_name": "other",
    "actor_rollout_ref__rollout__gpu_memory_utilization": 0.3,
    "actor_rollout_ref__rollout__max_num_seqs": 7,
    "actor_rollout_ref__actor__ppo_max_token_len_per_gpu": 777,
    "actor_rollout_ref__actor__fsdp_config__param_offload": True,
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
    "judge__client__mode": "probability",
    "judge__client__revision": "abc",
    "judge__client__constrained": False,
    "judge__client__thinking": "default",
    "judge__client__parse_attempts": 1,
    "judge__client__timeout_of_something_else": 3,
    "trainer__test_freq_of_something_else": 3,
    "reward__signals__llm__max_bytes": 5,
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


def test_a_judge_that_the_run_no_longer_starts_is_safe_while_its_name_stays(saved, composed):
    found = resume.differences(saved, changed(composed, judge__server=None))

    assert found
    assert all(difference.safe and difference.key.startswith("judge.server.") for difference in found)


def test_a_judge_that_the_run_starts_instead_of_another_is_not(tmp_path, composed):
    attached = changed(composed, judge__server=None)
    OmegaConf.save(attached, tmp_path / "config.yaml")

    found = [difference for difference in resume.differences(tmp_path / "config.yaml", composed) if not difference.safe]

    assert {"judge.server.model", "judge.server.arguments"} <= {difference.key for difference in found}


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


def before_and_after(tmp_path, words, changes):
    """Differences of two configs that are composed, so that copies of judge and embedder follow."""
    OmegaConf.save(varied(*words), tmp_path / "config.yaml")
    found = resume.differences(tmp_path / "config.yaml", varied(*words, *changes))
    return {difference.key: difference.safe for difference in found}


REMOTE = [
    *("experiment=medix_r1_8b_grpo", "judge=remote", "judge.client.base_url=http://a/v1"),
    *("embedder=remote", "embedder.base_url=http://b/v1"),
]


def test_what_a_message_tells_to_do_is_safe_and_said_once(tmp_path):
    """BudgetSpent says to raise the cap; copies below reward.signals are no second difference."""
    prices = ["judge.client.price_prompt=1", "judge.client.price_completion=1"]
    changes = ["judge.client.cost_cap=9", "judge.client.base_url=http://c/v1", "embedder.base_url=http://d/v1"]

    found = before_and_after(
        tmp_path,
        [*REMOTE, *prices, "judge.client.cost_cap=5"],
        [*changes, "embedder.patience=60", "embedder.batch_size=8"],
    )

    assert found == {
        "judge.client.cost_cap": True,
        "judge.client.base_url": True,
        "embedder.base_url": True,
        "embedder.patience": True,
        "embedder.batch_size": True,
    }


def test_what_the_embedder_computes_may_not_change(tmp_path):
    changes = ["embedder.model=another", "embedder.extra_body.truncate_prompt_tokens=9"]

    found = before_and_after(tmp_path, REMOTE, changes)

    assert found == {"embedder.model": False, "embedder.extra_body.truncate_prompt_tokens": False}


def test_an_embedder_in_the_job_is_no_client(tmp_path):
    words = ["experiment=medix_r1_8b_grpo", "judge=remote", "judge.client.base_url=http://a/v1"]

    assert before_and_after(tmp_path, words, ["embedder.batch_size=8"]) == {"embedder.batch_size": False}


def test_a_judge_of_a_signals_own_is_compared(saved, composed):
    """It is no copy any more, and it is the one that is asked."""
    own = {"reward__signals__llm__judge__model": "another", "reward__signals__llm__judge__base_url": "http://c/v1"}

    found = {difference.key: difference.safe for difference in resume.differences(saved, changed(composed, **own))}

    assert found == {"reward.signals.llm.judge.model": False, "reward.signals.llm.judge.base_url": True}


def members(*changed):
    judges = [{"_target_": "x.Judge", "base_url": f"http://{name}/v1", "model": name} for name in ("a", "b", "c")]
    for number, key, value in changed:
        judges[number][key] = value
    client = {"_target_": "x.VotingJudge", "quorum": 2, "judges": judges}
    return OmegaConf.create({"judge": {"client": client}, "reward": {"signals": {"llm": {"judge": client}}}})


def test_members_of_a_vote_are_compared_one_by_one(tmp_path):
    OmegaConf.save(members(), tmp_path / "config.yaml")

    elsewhere, other = resume.differences(
        tmp_path / "config.yaml", members((1, "base_url", "http://d/v1"), (2, "model", "e"))
    )

    assert (str(elsewhere), elsewhere.safe) == ("judge.client.judges.1.base_url: 'http://b/v1' -> 'http://d/v1'", True)
    assert (str(other), other.safe) == ("judge.client.judges.2.model: 'c' -> 'e'", False)


def shard(path, *answers):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"answer": list(answers)}), path)
    return str(path)


@pytest.fixture
def with_data(tmp_path):
    """A run that has recorded two shards, and a function that composes one with other files."""
    files = [shard(tmp_path / "host" / "train-0.parquet", "a", "b"), shard(tmp_path / "host" / "train-1.parquet", "c")]
    run = RunFolder(tmp_path / "run")
    run.create()

    def config(train, val):
        data = {"data": {"train_files": train, "val_files": val}}
        return OmegaConf.create({**data, "actor_rollout_ref": {"model": {"path": "m"}}})

    first = config(files, files[1])
    OmegaConf.save(first, run.config)
    provenance.write(run, first)
    return run, config


def test_the_same_data_elsewhere_is_safe(tmp_path, with_data):
    """Another mount prefix, or relative paths of an earlier version."""
    run, config = with_data
    copies = [shard(tmp_path / "container" / "x.parquet", "a", "b"), shard(tmp_path / "container" / "y.parquet", "c")]

    found = resume.differences(run.config, config(copies, [copies[1]]))

    assert [(difference.key, difference.safe) for difference in found] == [
        ("data.train_files", True),
        ("data.val_files", True),
    ]
    assert all(difference.note == resume.SAME_DATA for difference in found)


def test_other_data_is_refused(tmp_path, with_data):
    run, config = with_data
    one, two = shard(tmp_path / "c" / "train-0.parquet", "a", "b"), shard(tmp_path / "c" / "train-1.parquet", "d")
    moved = shard(tmp_path / "c" / "moved.parquet", "c")

    for files in ([one, two], [moved, one], [one]):
        found = resume.differences(run.config, config(files, moved))
        assert {d.key: d.safe for d in found} == {"data.train_files": False, "data.val_files": True}
        assert found[0].note == resume.OTHER_DATA


@pytest.mark.parametrize("recorded", [None, {"overrides": []}])
def test_data_without_a_record_is_refused_with_the_reason(tmp_path, with_data, recorded):
    run, config = with_data
    (run.root / "provenance.json").unlink()
    if recorded is not None:
        (run.root / "provenance.json").write_text(json.dumps(recorded))
    copy = shard(tmp_path / "c" / "y.parquet", "c")

    found = resume.differences(run.config, config([copy], copy))

    assert not any(difference.safe for difference in found)
    assert all(difference.note == resume.NOT_RECORDED for difference in found)


def test_data_that_cannot_be_read_is_refused_with_the_reason(tmp_path, with_data):
    run, config = with_data
    (tmp_path / "text.parquet").write_text("no parquet file")

    for name in ("gone.parquet", "text.parquet", None):
        gone = config(name and str(tmp_path / name), str(tmp_path / "host" / "train-1.parquet"))
        (found,) = resume.differences(run.config, gone)
        assert not found.safe
        assert found.note not in (resume.OTHER_DATA, resume.NOT_RECORDED)


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

    assert (problem.key, problem.code) == ("run.dir", "foreign-checkpoint")
    assert str(folder.checkpoints / "global_step_5") in problem.text
    assert "medix-r1 merge" in problem.text


def test_the_launcher_refuses_a_foreign_checkpoint_before_it_deletes_anything(folder):
    torn = folder.checkpoints / "global_step_5"
    torn.mkdir()

    with pytest.raises(ConfigError) as caught:
        make_plan(["experiment=nano_cpu", f"run.dir={folder.root}"])
    assert ("run.dir", "foreign-checkpoint") in codes(caught.value)

    assert torn.is_dir()


@pytest.mark.parametrize(
    ("key", "value"), [("trainer.resume_mode", "auto"), ("trainer.resume_from_path", "/elsewhere/global_step_5")]
)
def test_a_checkpoint_from_elsewhere_is_never_loaded(folder, composed, key, value):
    assert codes(resume.problems(folder, changed(composed, **{key: value}), [])) == [(key, "set-by-the-launcher")]


def test_verls_own_trainer_cannot_go_on(folder, composed):
    """It marks no checkpoint as whole, so the next start would take its own ones for leftovers."""
    started(folder, composed)
    (folder.checkpoints / "global_step_5").mkdir()
    config = changed(composed, trainer__v1__trainer_mode="separate_async")

    (problem,) = resume.problems(folder, config, [])

    assert (problem.key, problem.code) == ("run.dir", "unmarked-checkpoints")
    assert "trainer.v1.trainer_mode=separate_async" in problem.text


def test_a_refusal_names_the_harmless_changes_once(folder, composed):
    differences = [resume.Difference(key, 1, 2) for key in ("data.seed", "run.seed")]

    problems = resume.problems(
        folder, composed, [*differences, resume.Difference("trainer.test_freq", 1, 5, safe=True)]
    )

    assert codes(problems) == [("data.seed", "not-safe-to-change"), ("run.seed", "not-safe-to-change")]
    assert ["trainer.test_freq: 1 -> 5" in problem.text for problem in problems] == [False, True]


def test_data_that_was_exchanged_below_the_same_path_is_refused(tmp_path, composed):
    old = tmp_path / "data.parquet"
    config = changed(composed, data__train_files=shard(old, "a", "b"), data__val_files=str(old))
    run = RunFolder(tmp_path / "run")
    run.create()
    provenance.write(run, config)
    step = run.checkpoints / "global_step_5"
    step.mkdir()
    assert not any(problem.code == "other-data" for problem in resume.problems(run, config, []))

    shard(old, "a", "c")
    assert not any(problem.code == "other-data" for problem in resume.problems(run, config, []))  # a torn save
    checkpoints.seal(step)

    moved = resume.Difference("data.train_files", str(old), "elsewhere.parquet", safe=True)
    assert ("data.val_files", "other-data") in codes(resume.problems(run, config, [moved]))
    assert [key for key, code in codes(resume.problems(run, config, [])) if code == "other-data"] == [
        "data.train_files",
        "data.val_files",
    ]
