"""Every alarm of configs/alarms stays quiet on recorded metrics of a healthy run, and fires on those of a sick one."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import read_yaml
from medix_r1.runs.alarms import Above, Alarms, Falls, Parts, Rises
from tests.support.problems import numbers, only

WORDS: dict[str, Any] = {"action": "warn", "advice": "Do something."}
GOLDEN = Path(__file__).parent / "golden"


def rules() -> dict:
    tree = read_yaml(configs.config_dir() / "alarms" / "default.yaml")
    return {name: instantiate(node) for name, node in tree.items()}


def recorded(name: str) -> list[dict[str, float]]:
    lines = (GOLDEN / name).read_text().splitlines()
    return [json.loads(line) for line in lines if not line.startswith("#")]


def series(metric: str, *values: float) -> list[dict[str, float]]:
    return [{metric: value} for value in values]


def test_above_looks_at_a_window_not_at_a_step():
    rule = Above(metric="m", threshold=0.5, window=3, **WORDS)
    assert rule.seen(series("m", 0.9, 0.9)) is None, "too little is known"
    assert rule.seen(series("m", 0.0, 0.0, 0.9)) is None
    assert rule.seen(series("m", 0.0, 0.6, 0.6, 0.6)) == "m is 0.6 over the last 3 steps, above 0.5"


def test_falls_compares_with_the_best_window_before():
    rule = Falls(metric="m", by=0.2, window=2, **WORDS)
    assert rule.seen(series("m", 1.0, 1.0, 0.5)) is None, "windows that overlap say nothing"
    assert rule.seen(series("m", 1.0, 1.0, 0.9, 0.9)) is None
    assert rule.seen(series("m", 0.5, 0.5, 1.0, 1.0, 0.9, 0.7, 0.7)) is not None
    assert numbers(rule.seen(series("m", 0.5, 0.5, 1.0, 1.0, 0.9, 0.7, 0.7)) or "") == [1, 0.7, 2]


def test_falls_by_a_share():
    rule = Falls(metric="m", share=0.5, window=1, **WORDS)
    assert rule.seen(series("m", 200.0, 110.0)) is None
    assert rule.seen(series("m", 200.0, 90.0)) is not None


def test_rises_of_a_gap():
    rule = Rises(metric="a", minus="b", by=0.1, window=1, **WORDS)
    assert rule.seen([{"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.9}]) is None
    assert numbers(rule.seen([{"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.6}]) or "") == [0, 0.3, 1]


def test_heldout_may_fall_only_while_training_does_not_rise():
    rule = Parts(train="t", heldout="h", fall=0.05, rise=0.05, window=1, **WORDS)
    both_fall = [{"t": 0.5, "h": 0.5}, {"t": 0.4}, {"t": 0.3, "h": 0.3}]
    apart = [{"t": 0.5, "h": 0.5}, {"t": 0.6}, {"t": 0.7, "h": 0.3}]
    assert rule.seen(both_fall) is None
    assert numbers(rule.seen(apart) or "") == [0.2, 0.2]


def test_a_best_from_before_the_first_step_is_compared_with_too():
    rule = Parts(train="t", heldout="h", fall=0.05, rise=0.05, window=1, **WORDS)
    falls: list[dict[str, float]] = [{"h": 0.5}, {"t": 0.5}, {"t": 0.6}, {"t": 0.7, "h": 0.3}]
    assert numbers(rule.seen(falls) or "") == [0.2, 0.2]
    assert rule.seen([{"h": 0.5}, {"t": 0.5, "h": 0.3}]) is None, "one step has no halves"


def test_stops_looking_rings_when_the_gap_narrows_while_the_reward_rises():
    rule = rules()["stops_looking"]
    gaps, kept = [0.3, 0.32, 0.2, 0.1, 0.05], [0.3, 0.32, 0.33, 0.3, 0.31]

    def run(heldout, *, slope):
        steps = [{"reward/overall/mean": 0.5 + slope * step} for step in range(21)]
        for number, gap in enumerate(heldout):
            steps[5 * number]["looking/real_minus_shuffled"] = gap
        return steps

    assert rule.seen(run(gaps, slope=0.02)) is not None
    assert rule.seen(run(kept, slope=0.02)) is None, "it goes on looking"
    assert rule.seen(run(gaps, slope=-0.02)) is None, "the policy gets worse at all it does"


def test_steps_without_a_number_are_left_out():
    rule = Above(metric="m", threshold=0.5, window=2, **WORDS)
    assert rule.seen([{"m": 0.9}, {}, {"m": math.nan}, {"m": 0.9}]) is not None


def test_an_alarm_rings_once_until_it_has_gone_quiet():
    alarms = Alarms({"high": Above(metric="m", threshold=0.5, window=1, **WORDS)})
    history: list[dict[str, float]] = []
    rung = []
    for value in (0.9, 0.9, 0.1, 0.9):
        history.append({"m": value})
        rung.append([alarm.name for alarm in alarms.check(history)])
    assert rung == [["high"], [], [], ["high"]]


def test_off_is_off():
    rule = Above(metric="m", threshold=0.5, window=1, action="off", advice="")
    assert Alarms({"high": rule}).check(series("m", 1.0)) == []


def test_wrong_settings_are_named():
    wrong = (("alarms.*.window", "out-of-range"), ("alarms.*.action", "not-a-choice"))
    with pytest.raises(ConfigError, check=only(*wrong)):
        Above(metric="m", threshold=0.5, window=0, action="explode", advice="")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, check=only(("alarms.*", "needs-by-or-share"))):
        Falls(metric="m", window=1, **WORDS)


@pytest.mark.parametrize("name", rules())
def test_quiet_on_a_healthy_run(name: str):
    rule, history = rules()[name], recorded("metrics_healthy.jsonl")
    assert len(history) >= 30
    assert [message for end in range(len(history)) if (message := rule.seen(history[: end + 1]))] == []


@pytest.mark.parametrize("name", rules())
def test_rings_on_a_sick_run(name: str):
    sick = recorded("metrics_sick.jsonl")
    assert rules()[name].seen(sick) is not None


def test_the_gap_rings_on_a_real_run_that_hacked_its_embedder_and_at_no_step_before():
    """Only the embedder was rewarded. The window is 3 here: with the default 5 the run ended before the alarm fired."""
    tree = read_yaml(configs.config_dir() / "alarms" / "default.yaml")
    rule, history = instantiate(tree["embed_leaves_llm"], window=3), recorded("metrics_hacked.jsonl")
    rung = [end for end in range(1, len(history) + 1) if rule.seen(history[:end])]
    assert rung == [len(history)]
    assert history[-1]["reward/embed/mean"] > history[0]["reward/embed/mean"] + 0.3
    assert abs(history[-1]["reward/llm/mean"] - history[0]["reward/llm/mean"]) < 0.1


def test_every_alarm_has_advice():
    for name, rule in rules().items():
        assert rule.advice.endswith("."), name
        assert rule.action == "warn", f"{name}: a default must not stop somebody's run"
