import functools
import shutil
import subprocess
import sys

import pytest
import yaml
from omegaconf import DictConfig

from medix_r1 import config as configs
from medix_r1.composing import plain
from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.composite import weight_problems
from tests.support.configs import varied
from tests.support.problems import codes

EXPERIMENTS = sorted(path.stem for path in (configs.config_dir() / "experiment").glob("*.yaml"))


@functools.cache
def composed(*overrides: str) -> DictConfig:
    return varied(*overrides)


def test_there_are_experiments():
    assert {"nano_cpu", "medix_r1_8b_grpo"} <= set(EXPERIMENTS)
    algorithms = {path.stem for path in (configs.config_dir() / "algorithm").glob("*.yaml")}
    assert algorithms == {*("grpo", "dapo", "gspo", "gdpo", "dr_grpo", "cispo", "sapo", "rloo", "reinforce_pp")}


def test_an_interpolation_of_ours_reaches_verls_keys():
    config = composed("experiment=nano_cpu", "run.seed=7", "run.dir=/tmp/x", "demo_dir=/d")

    assert config.data.seed == config.actor_rollout_ref.rollout.seed == 7
    assert config.trainer.v1.sampler.sampler_kwargs.samples_dir == "/tmp/x/samples"
    assert config.data.train_files == "/d/data/train.parquet"
    assert config.reward.signals.llm.judge == config.judge.client
    assert config.reward.signals.embed.embedder == config.embedder
    assert "${" not in yaml.safe_dump(plain(config))


def test_an_experiment_overrides_the_bridge():
    config = composed("experiment=medix_r1_8b_grpo", "judge.client.base_url=http://127.0.0.1:1/v1")

    assert config.actor_rollout_ref.rollout.n == 5
    assert config.actor_rollout_ref.actor.ppo_mini_batch_size == 128
    assert config.trainer.v1.trainer_mode == "medix_sync"


def test_a_value_that_is_missing_is_named():
    config = composed("experiment=medix_r1_8b_grpo")

    assert codes(configs.missing_keys(config)) == [("judge.client.base_url", "no-value")]


def test_a_run_without_an_experiment_has_a_name():
    assert composed().run.name == "unnamed"
    assert composed("run.name=mine").run.name == "mine"


def problem_of(*overrides: str) -> Problem:
    with pytest.raises(ConfigError) as caught:
        configs.compose_train(overrides)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("override", "key", "code", "nearest"),
    [
        ("run.sead=3", "run.sead", "no-such-key", "run.seed?"),
        ("trainer.test_freqq=3", "trainer.test_freqq", "no-such-key", "trainer.test_freq?"),
        ("judge.sever.port=3", "judge.sever.port", "no-such-key", "judge.server.port?"),
        ("judg=nano", "judg", "no-such-key", "judge?"),
        ("actor.optim.lr=1", "actor.optim.lr", "no-such-key", "actor_rollout_ref.actor.optim.lr?"),
        ("rollout.n=3", "rollout.n", "no-such-key", "actor_rollout_ref.rollout.n?"),
        ("+run.sead=3", "run.sead", "no-such-key", "run.seed?"),
        (
            "+reward.signals.embed.treshold=1",
            "reward.signals.embed.treshold",
            "no-such-key",
            "reward.signals.embed.threshold?",
        ),
        ("experiment=nano_cpuu", "experiment=nano_cpuu", "no-such-file", "nano_cpu?"),
        ("algorithm=dappo", "algorithm=dappo", "no-such-file", "dapo?"),
        ("trainer=zzzz", "trainer=zzzz", "no-such-file", "colocate_async, separate_async, sync"),
    ],
)
def test_a_typo_on_the_command_line(override, key, code, nearest):
    problem = problem_of(override)

    assert (problem.key, problem.code) == (key, code)
    assert problem.text.endswith(nearest)


def test_what_hydra_cannot_parse_is_one_line():
    problem = problem_of("run.seed=[1")

    assert (problem.key, problem.code) == ("run.seed", "not-parsed")
    assert "\n" not in problem.text


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A writable copy of configs/."""
    copy = tmp_path / "configs"
    shutil.copytree(configs.config_dir(), copy)
    monkeypatch.setattr(configs, "config_dir", lambda: copy)
    return copy


def test_typos_inside_a_file_are_found_all_together(tree):
    (tree / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "run: {sead: 3}\n"
        "trainer: {total_epoch: 1}\n"
        "reward: {signals: {embed: {treshold: 0.5}}}\n"
        "judge: {client: {patiance: 5}}\n"
        "algorithm: {filter_groups: {metrik: llm}}\n"
        "actor_rollout_ref: {actor: {clip_ratio_hight: 0.3}}\n"
    )

    with pytest.raises(ConfigError) as caught:
        configs.compose_train(["experiment=mine"])

    assert {problem.code for problem in caught.value.problems} == {"no-such-key"}
    assert {problem.key: problem.text.split()[-1] for problem in caught.value.problems} == {
        "run.sead": "run.seed?",
        "trainer.total_epoch": "trainer.total_epochs?",
        "reward.signals.embed.treshold": "reward.signals.embed.threshold?",
        "judge.client.patiance": "judge.client.patience?",
        "algorithm.filter_groups.metrik": "algorithm.filter_groups.metric?",
        "actor_rollout_ref.actor.clip_ratio_hight": "actor_rollout_ref.actor.clip_ratio_high?",
    }


def test_a_key_like_no_other_lists_the_known_ones(tree):
    (tree / "experiment" / "mine.yaml").write_text("# @package _global_\nzzz_unheard_of: 1\n")

    problem = problem_of("experiment=mine")

    assert (problem.key, problem.code) == ("zzz_unheard_of", "no-such-key")
    assert "actor_rollout_ref, alarms, algorithm, " in problem.text


def test_keys_of_others_are_left_alone(tree):
    (tree / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "reward: {weights: {of_mine: 0.0}}\n"
        "actor_rollout_ref: {rollout: {engine_kwargs: {vllm: {anything_at_all: 1}}}}\n"
    )

    config = configs.compose_train(["experiment=mine"])

    assert config.actor_rollout_ref.rollout.engine_kwargs.vllm.anything_at_all == 1
    assert weight_problems(dict(config.reward.weights), dict(config.reward.signals))  # that is who looks at names


def test_a_signal_of_ones_own_brings_its_own_keys(tree):
    (tree / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "reward:\n  signals:\n    close:\n"
        "      _target_: medix_r1.rewards.embed.EmbeddingReward\n"
        "      embedder: ${embedder}\n      threshold: 0.9\n      thresold: 0.9\n"
    )

    problem = problem_of("experiment=mine")

    assert (problem.key, problem.code) == ("reward.signals.close.thresold", "no-such-key")
    assert problem.text.endswith("reward.signals.close.threshold?")


def test_an_interpolation_that_leads_nowhere(tree):
    (tree / "experiment" / "mine.yaml").write_text("# @package _global_\nrun:\n  seed: ${run.sead}\n")

    problem = problem_of("experiment=mine")

    assert problem.code == "not-resolved"
    assert "run.sead" in problem.text
    assert "\n" not in problem.text


def test_a_target_that_is_not_there(tree):
    (tree / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nreward: {signals: {new: {_target_: medix_r1.rewards.nothing.Nothing}}}\n"
    )

    problem = problem_of("experiment=mine")

    assert (problem.key, problem.code) == ("reward.signals.new._target_", "not-loadable")
    assert "medix_r1.rewards.nothing" in problem.text


def modules_after(code: str) -> set[str]:
    output = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('MODULES', *sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return set(output.split("MODULES ")[1].split())


def test_composing_imports_neither_verl_nor_torch():
    loaded = modules_after("from medix_r1.config import compose_train; compose_train(['experiment=nano_cpu'])")

    assert "hydra" in loaded
    assert not loaded & {"verl", "torch", "ray", "vllm", "transformers"}


def test_help_imports_next_to_nothing():
    loaded = modules_after(
        "from medix_r1.cli import main\nsys.argv = ['medix-r1', '--help']\ntry:\n    main()\nexcept SystemExit: pass"
    )

    assert "typer" in loaded
    assert not loaded & {"verl", "torch", "ray", "vllm", "transformers", "hydra", "omegaconf", "numpy", "openai"}


def test_the_command_says_what_is_wrong_and_exits_with_1():
    result = subprocess.run(
        [sys.executable, "-m", "medix_r1.cli", "train", "experiment=nano_cpuu"], capture_output=True, text=True
    )

    assert result.returncode == 1
    assert "1 problem(s):" in result.stdout
    assert "  - experiment=nano_cpuu: " in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_choice_that_reads_as_a_number_is_a_config_error():
    assert problem_of("judge=nan").code == "no-such-file"


def test_a_target_that_does_not_load_is_one_problem_and_its_keys_are_none():
    with pytest.raises(ConfigError) as caught:
        configs.compose_train(["experiment=nano_cpu", "alarms.many_masked._target_=./nowhere.py:Rule"])

    assert codes(caught.value) == [("alarms.many_masked._target_", "no-such-file")]


def test_a_target_that_takes_any_keyword_has_no_unknown_keys(tmp_path):
    rule = tmp_path / "rule.py"
    rule.write_text("class Rule:\n    def __init__(self, **settings): ...\n", encoding="utf-8")

    config = configs.compose_train(["experiment=nano_cpu", f"alarms.many_masked._target_={rule}:Rule"])

    assert config.alarms.many_masked.window == 3
