"""Names of metrics that choose a checkpoint or ring an alarm, against those that a run writes."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medix_r1.training.preflight.metric_names import metric_problems
from tests.support.configs import choices, composed
from tests.support.problems import codes

BEST, NANO = "run.best_metric", "experiment=nano_cpu"


def problems(*words: str):
    return codes(metric_problems(composed(*words)))


@pytest.mark.parametrize("name", choices("reward"))
def test_every_reward_of_ours_has_its_metrics(name):
    assert problems(NANO, f"reward={name}") == []


@pytest.mark.parametrize(
    ("metric", "written"),
    [
        ("null", True),
        ("selection/llm/mean", True),
        ("reward/exact/mean", True),
        ("heldout/demo/overall/mean", True),
        ("actor/entropy", True),
        ("reward/judge_denies_exact", True),
        ("selection/lm/mean", False),
        ("selection/overall/interval", False),
        ("overall", False),
        ("val/overall/mean", False),
    ],
)
def test_the_metric_of_the_best_checkpoint(metric, written):
    assert problems(NANO, f"{BEST}={metric}") == ([] if written else [(BEST, "no-such-metric")])


def test_every_name_of_an_alarm():
    config = composed(NANO)
    gaps = [name for name, node in config.alarms.items() if "minus" in node]
    falls = [name for name, node in config.alarms.items() if "heldout" in node]
    words = [f"alarms.{gaps[0]}.minus=reward/lmm/mean", f"alarms.{falls[0]}.heldout=selectin/overall/mean"]
    assert problems(NANO, *words) == [
        (f"alarms.{gaps[0]}.minus", "no-such-metric"),
        (f"alarms.{falls[0]}.heldout", "no-such-metric"),
    ]


def test_code_of_ones_own_may_write_what_it_likes():
    assert problems(NANO, "run.plugins=[json]", f"{BEST}=mine/score") == []


def test_every_metric_that_a_real_run_wrote_passes():
    path = Path(__file__).parents[3] / "data" / "run_795c22a" / "metrics" / "attempt_001.jsonl"
    steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    written = {name for step in steps for name in step["data"]}
    assert {"reward/overall/mean", "selection/overall/mean"} <= written
    config = composed(NANO)
    OmegaConf.set_struct(config, False)
    config.alarms = {str(number): {"metric": name} for number, name in enumerate(sorted(written))}
    assert codes(metric_problems(config)) == []
