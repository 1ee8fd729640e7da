"""Public scripts, translated: every key is accounted for, and the result composes and passes `check --offline`."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from medix_r1 import config as configs
from medix_r1.migration.draft import Fate
from medix_r1.migration.translate import translate
from medix_r1.migration.writing import command_line, experiment_text
from medix_r1.training.preflight import checks
from tests.support import public_scripts

NAMES = [one["name"] for one in public_scripts.CASES]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_script_is_accounted_for_and_passes_the_checks(name, tmp_path):
    one = public_scripts.case(name)

    found = translate(public_scripts.write(one, tmp_path))

    given = {key: entry for key, entry in found.draft.entries.items() if not entry.is_default}
    assert set(given) == public_scripts.settings(one)
    assert list(found.problems) == []
    for fate, field in ((Fate.CHANGED, "changed"), (Fate.NONE, "none")):
        if field in one:
            assert sorted(key for key, entry in given.items() if entry.fate is fate) == sorted(one[field]), fate
    assert all(entry.why for entry in given.values() if entry.fate is not Fate.SAME)
    file = tmp_path / "mine" / "experiment" / "translated.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(experiment_text(found.draft, name), encoding="utf-8")
    composed = configs.composed_train(["experiment=translated"], [tmp_path / "mine"])
    assert list(checks.problems_of(composed, offline=True)) == []


@pytest.mark.parametrize("name", [one["name"] for one in public_scripts.CASES if "recipe" in one])
def test_the_papers_scripts_become_our_recipes(name, tmp_path):
    one = public_scripts.case(name)
    found = translate(public_scripts.write(one, tmp_path))
    words = shlex.split(command_line(found.draft, {}).replace("\\\n", " "))[2:]

    theirs: Any = OmegaConf.to_container(configs.compose_train(words))
    ours: Any = OmegaConf.to_container(
        configs.compose_train([f"experiment={one['recipe']}", "judge.client.base_url=http://127.0.0.1:8085/v1"])
    )

    left = dict(configs.flatten(theirs))
    right = dict(configs.flatten(ours))
    differing = {
        key
        for key in left.keys() | right.keys()
        if left.get(key) != right.get(key) and not isinstance(left.get(key, right.get(key)), dict)
    }
    named = {
        key
        for key in differing
        if key.startswith(("run.", "trainer.default_local_dir", "trainer.experiment_name", "trainer.project_name"))
        or key in ("trainer.logger", "trainer.v1.sampler.sampler_kwargs.samples_dir")
        or key.startswith("actor_rollout_ref.rollout.trace.")
        or key == "actor_rollout_ref.rollout.val_kwargs.do_sample"  # only the validation of the config looks at it
    }
    ours_on_purpose = {  # docs/recipes.md says why
        "actor_rollout_ref.actor.fsdp_config.param_offload",
        "actor_rollout_ref.actor.fsdp_config.optimizer_offload",
        *(key for key in differing if key.startswith("algorithm.rollout_correction.")),
    }
    assert differing - named - ours_on_purpose == set()


TRL = """
import os
from trl import GRPOConfig, GRPOTrainer
from peft import LoraConfig

os.system("touch executed")
MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
LENGTH = 4 * 256
config = GRPOConfig(output_dir="out", learning_rate=5e-6, num_generations=4, max_completion_length=LENGTH,
    per_device_train_batch_size=4, gradient_accumulation_steps=2, loss_type="dr_grpo", scale_rewards=False, beta=0.04,
    epsilon_high=0.28, eval_strategy="steps", eval_steps=50, save_steps=200, report_to="wandb", bf16=True,
    warmup_ratio=float(os.environ["RATIO"]), lr_scheduler_type="cosine", mask_truncated_completions=True, seed=7)
lora = LoraConfig(r=16, lora_alpha=32)
trainer = GRPOTrainer(model=MODEL, args=config, reward_funcs=[exact, formatted], peft_config=lora)
"""


def checked(text: str, name: str, folder: Path, **options: int):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    found = translate(file, **options)
    assert list(found.problems) == []
    return found


def test_a_trl_script_in_python_is_read_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    found = checked(TRL, "train.py", tmp_path, gpus=2)

    assert not (tmp_path / "executed").exists()
    values = found.draft.values
    assert values["data.train_batch_size"] == 4 * 2 * 2 // 4
    assert values["actor_rollout_ref.model.lora_rank"] == 16
    assert values["actor_rollout_ref.actor.loss_scale_factor"] == 1024
    assert values["trainer.logger"] == ["file", "wandb"]
    assert (values["trainer.test_freq"], values["trainer.save_freq"], values["reward.overlong"]) == (50, 200, "mask")
    assert found.draft.choices["algorithm"] == "dr_grpo"
    assert found.draft.choices["model"] == "qwen2_5_vl_7b"
    assert found.draft.entries["warmup_ratio"].fate is Fate.NONE
    assert found.draft.entries["reward_funcs"].fate is Fate.NONE


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_config_of_trl_alone(suffix, tmp_path):
    text = (
        '{"model_name_or_path": "Qwen/Qwen3-VL-8B-Instruct", "num_generations": 8, "learning_rate": 1e-6, "beta": 0.0}'
    )

    found = checked(text, f"grpo.{suffix}", tmp_path, gpus=8)

    assert found.draft.choices["model"] == "qwen3_vl_8b"
    assert found.draft.values["actor_rollout_ref.actor.use_kl_loss"] is False


def test_a_reward_function_that_lies_there_becomes_a_signal_and_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("raise SystemExit('loaded')", encoding="utf-8")
    words = "config=none.yaml worker.reward.reward_function=./mine.py:score algorithm.online_filtering=true"

    found = checked(f"python3 -m verl.trainer.main {words} algorithm.filter_low=0.1", "run.sh", tmp_path)

    assert found.draft.signal == {"_target_": "medix_r1.rewards.adapters.EasyR1Reward", "function": "./mine.py:score"}
    assert found.draft.values["algorithm.filter_groups.metric"] == "ported"
    assert found.draft.choices["judge"] == "none"


def test_what_a_run_refuses_is_left_out_with_the_reason(tmp_path):
    words = (
        "algorithm.adv_estimator=gae actor_rollout_ref.rollout.temperature=-1 trainer.nnodes=0 data.train_batch_size=7"
    )

    found = checked(f"python3 -m verl.trainer.main_ppo {words}", "run.sh", tmp_path)

    fates = {key: entry.fate for key, entry in found.draft.entries.items() if not entry.is_default}
    assert fates.pop("algorithm.adv_estimator") is Fate.CHANGED
    assert set(fates.values()) == {Fate.CHANGED}
    assert "actor_rollout_ref.rollout.temperature" not in found.draft.values


HOSTILE = """
touch executed; $(touch executed) `touch executed`
python3 -m verl.trainer.main_ppo data.train_batch_size=$(touch executed) run.plugins=[./evil.py] \
  +reward.signals.x._target_=os.system actor_rollout_ref.model.external_lib=evil hydra.searchpath=[/tmp] \
  trainer.experiment_name='${oc.env:HOME}' trainer.project_name=$'\033[31m' \\
  actor_rollout_ref.rollout.n=9999999999999999 \
  +actor_rollout_ref.actor.optim.optimizer_impl=evil data.custom_cls.path=./evil.py judge.server.environment.A=b
"""


def test_a_hostile_script_runs_nothing_and_names_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('executed', 'w')", encoding="utf-8")

    found = checked(HOSTILE, "run.sh", tmp_path)

    assert not (tmp_path / "executed").exists()
    text = experiment_text(found.draft, "run.sh\n\x1b[31m")
    assert "evil" not in text
    assert "oc.env" not in text
    assert "\x1b" not in text


ARRAYS = """
LOW=0.1
ACTOR=(
  actor_rollout_ref.actor.clip_ratio_low=$LOW   # the upper one is verl's default
)
python3 -m verl.trainer.main_ppo "${ACTOR[@]}" "$@" 2>&1 | tee log.txt
"""


def test_arrays_and_defaults_of_verl(tmp_path):
    values = checked(ARRAYS, "run.sh", tmp_path).draft.values

    assert values["actor_rollout_ref.actor.clip_ratio_low"] == 0.1
    assert values["actor_rollout_ref.actor.clip_ratio_high"] == 0.2


ODD = """
worker: {rollout: {n: "5"}, actor: {optim: {lr: [1]}, clip_ratio_low: {a: 1}}}
data: {max_prompt_length: 1k, rollout_batch_size: -3}
trainer: {experiment_name: "a/b c\\a", save_checkpoint_path: "x=y, z", total_epochs: .inf, n_gpus_per_node: 0}
algorithm: {adv_estimator: [grpo], online_filtering: "true", kl_coef: .nan}
"""


def test_values_that_no_run_takes_are_left_out_one_by_one(tmp_path):
    found = checked(ODD, "odd.yaml", tmp_path)

    odd = {key for key, entry in found.draft.entries.items() if entry.fate is Fate.CHANGED and not entry.is_default}
    assert odd >= {
        "data.max_prompt_length",
        "data.rollout_batch_size",
        "worker.actor.optim.lr",
        "trainer.n_gpus_per_node",
    }
