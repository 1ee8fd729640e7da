"""`medix-r1 check --offline` and `--diff`, and `train --cfg job`, of many configs."""

import io

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from medix_r1.cli import app
from medix_r1.training.command.check_difference import changes
from medix_r1.training.command.check_summary import summary
from medix_r1.training.command.check_view import show_check
from tests.support.configs import ADDRESS, choices, varied

RECIPE = "experiment=medix_r1_8b_grpo"
TRAINED = [name for name in choices("experiment") if name.startswith("medix")]


def check(*words: str, **options) -> tuple[int, str]:
    console = Console(width=200, record=True, file=io.StringIO())
    code = show_check(words, [], 80.0, console, **options)
    return code, console.export_text()


@pytest.mark.parametrize("experiment", TRAINED)
def test_offline_every_recipe_has_no_problem(experiment):
    words = [f"experiment={experiment}"]
    words += ["judge=remote", ADDRESS] if experiment == "medix_r1_2b_gpu24" else [ADDRESS]
    code, text = check(*words, offline=True)
    assert code == 0, text


def test_offline_a_wrong_config_is_refused_all_the_same():
    code, text = check(RECIPE, ADDRESS, "actor_rollout_ref.rollout.n=1", offline=True)
    assert code == 1
    assert "actor_rollout_ref.rollout.n" in text


def test_offline_a_key_need_not_be_here(monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/nowhere")
    words = [RECIPE, "judge=openrouter", "judge.client.model=a/b", "trainer.logger=[file,wandb]"]
    assert check(*words, offline=True)[0] == 0


def test_any_judge_has_a_line():
    assert summary(varied(RECIPE, "judge=none", "reward=embedding_only"))["judge"] == "none"
    assert "verl-reward-router" in summary(varied(RECIPE, "judge=verl", "placement=inside_verl"))["judge"]
    assert "started by the run" in summary(varied("experiment=nano_cpu"))["judge"]


def test_a_difference_is_what_was_changed_where_it_was_changed():
    found = changes([RECIPE, "run.seed=7", "actor_rollout_ref.actor.optim.lr=2e-6"])
    assert found.recipe == "medix_r1_8b_grpo"
    assert dict(found.keys) == {"actor_rollout_ref.actor.optim.lr": (1e-6, 2e-6), "run.seed": (1, 7)}
    assert not changes([RECIPE]).keys


def test_an_experiment_of_ones_own_is_compared_with_its_recipe(tmp_path):
    (tmp_path / "experiment").mkdir()
    mine = {"defaults": ["medix_r1_8b_grpo", "_self_"], "run": {"seed": 3}}
    (tmp_path / "experiment/mine.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(mine)}")
    again = {"defaults": ["mine", "_self_"], "data": {"train_batch_size": 256}}
    (tmp_path / "experiment/again.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(again)}")
    found = changes(["experiment=again"], [tmp_path])
    assert found.recipe == "medix_r1_8b_grpo"
    assert dict(found.keys) == {"run.seed": (1, 3), "data.train_batch_size": (512, 256)}


def test_without_an_experiment_the_defaults_are_compared():
    found = changes(["run.seed=7"])
    assert (found.recipe, dict(found.keys)) == ("the defaults", {"run.seed": (1, 7)})


def test_the_command_prints_the_difference():
    code, text = check(RECIPE, ADDRESS, "run.seed=7", offline=True, diff=True)
    assert code == 0
    assert "differs from medix_r1_8b_grpo" in text
    assert "1 -> 7" in text


def test_cfg_job_prints_the_config_unchecked():
    """Neither the judge's address nor data nor weights are there."""
    done = CliRunner().invoke(app, ["train", RECIPE, "--cfg", "job"])
    assert done.exit_code == 0
    printed = yaml.safe_load(done.stdout)
    assert printed["data"]["train_batch_size"] == 512
    assert printed["judge"]["client"]["base_url"] == "???"
    assert CliRunner().invoke(app, ["train", RECIPE, "--cfg", "hydra"]).exit_code == 2


def test_the_memory_of_a_node_may_be_given():
    """The machine that checks is often not the one that trains."""
    code, text = check(RECIPE, ADDRESS, offline=True, host_gib=32.0)
    assert code == 1
    assert "32 GiB of a node's memory are available" in text
    assert check(RECIPE, ADDRESS, offline=True, host_gib=2048.0)[0] == 0
    assert check("experiment=nano_cpu", offline=True, host_gib=4.0)[0] == 1
    assert "processes" in text
    assert CliRunner().invoke(app, ["check", RECIPE, ADDRESS, "--offline", "--host-gib", "32"]).exit_code == 1


def test_images_that_may_be_too_large_are_only_said():
    code, text = check(RECIPE, ADDRESS, offline=True, host_gib=64.0)
    assert code == 0
    assert "only said, not refused: memory:" in text
    assert "only said, not refused: memory:" not in check(RECIPE, ADDRESS, offline=True, host_gib=2048.0)[1]
