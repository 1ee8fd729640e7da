"""Names of metrics that choose a checkpoint or ring an alarm, against those that a run writes."""

import json
from pathlib import Path

import pytest

from medix_r1.training.preflight.metric_names import metric_problems
from tests.support.configs import set_in
from tests.support.problems import codes

BEST, NANO = "run.best_metric", "experiment=nano_cpu"


def problems(**values):
    return codes(metric_problems(set_in(NANO, **values)))


@pytest.mark.parametrize(
    ("metric", "written"),
    [
        (None, True),
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
    assert problems(**{BEST: metric}) == ([] if written else [(BEST, "no-such-metric")])


def test_every_name_of_an_alarm():
    nano = set_in(NANO)
    gap = next(name for name, node in nano.alarms.items() if "minus" in node)
    fall = next(name for name, node in nano.alarms.items() if "heldout" in node)
    keys = f"alarms.{gap}.minus", f"alarms.{fall}.heldout"
    found = problems(**dict(zip(keys, ("reward/lmm/mean", "selectin/overall/mean"), strict=True)))
    assert sorted(found) == sorted((key, "no-such-metric") for key in keys)


def test_code_of_ones_own_may_write_what_it_likes():
    assert problems(**{"run.plugins": ["json"], BEST: "mine/score"}) == []


def test_every_metric_that_a_real_run_wrote_passes():
    path = Path(__file__).parents[3] / "data" / "run_795c22a" / "metrics" / "attempt_001.jsonl"
    steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    written = {name for step in steps for name in step["data"]}
    assert {"reward/overall/mean", "selection/overall/mean"} <= written
    alarms = {str(number): {"metric": name} for number, name in enumerate(sorted(written))}
    assert problems(alarms=alarms) == []
