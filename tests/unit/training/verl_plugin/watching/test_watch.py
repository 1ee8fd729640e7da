"""What is done at a step's end: alarms over a restart, the best checkpoint, requests."""

import json

import pytest

from medix_r1.runs import checkpoints, requests
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.training.verl_plugin.watching.watch import RunWatch

RULE = {
    "_target_": "medix_r1.runs.alarms.Above",
    "metric": "reward/masked_share",
    "window": 2,
    "threshold": 0.5,
    "action": "stop",
    "advice": "Look at the judge.",
}
BEST = "selection/overall/mean"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text("run: {}\n")
    (tmp_path / "metrics").mkdir()
    return RunFolder(tmp_path)


def log(folder, attempt, *records):
    lines = [json.dumps({"step": step, "data": data}) for step, data in records]
    folder.metrics(attempt).write_text("\n".join(lines) + "\n")


def save(folder, step):
    path = folder.checkpoints / f"global_step_{step}"
    path.mkdir(parents=True)
    (path / "data.pt").write_bytes(b"d")
    checkpoints.seal(path)
    checkpoints.prune(folder.checkpoints, keep=1)


def events(folder, name):
    return [event for event in read_lines(folder.events) if event["event"] == name]


def kept(folder):
    return sorted(path.name for path in folder.checkpoints.glob("global_step_*"))


def test_rules_see_the_validation_before_the_first_step(folder):
    watch = RunWatch(folder, {"masked": RULE}, best_metric=None)
    watch.before_training({"reward/masked_share": 0.9, "text": "left out"})
    watch.look(1, {"reward/masked_share": 0.9})
    assert [event["step"] for event in events(folder, "alarm")] == [1]


def test_an_alarm_is_said_with_its_step_and_stops(folder):
    watch = RunWatch(folder, {"many_masked": RULE}, None)
    watch.look(1, {"reward/masked_share": 0.9})
    assert watch.stop_reason is None
    watch.look(2, {"reward/masked_share": 0.9})

    assert "alarm many_masked at step 2" in (watch.stop_reason or "")
    assert [(event["step"], event["name"]) for event in events(folder, "alarm")] == [(2, "many_masked")]


def test_a_window_spans_a_restart(folder):
    log(folder, 1, (1, {"reward/masked_share": 0.9}))
    watch = RunWatch(folder, {"many_masked": RULE}, None)
    watch.look(2, {"reward/masked_share": 0.9})

    assert len(events(folder, "alarm")) == 1


def test_what_rang_before_a_restart_is_not_said_again(folder):
    log(folder, 1, (1, {"reward/masked_share": 0.9}), (2, {"reward/masked_share": 0.9}))
    watch = RunWatch(folder, {"many_masked": RULE}, None)
    watch.look(3, {"reward/masked_share": 0.9})

    assert events(folder, "alarm") == []
    assert watch.stop_reason is None, "who goes on after the stop wants to go on"


def test_the_best_is_kept_also_after_a_restart(folder):
    watch = RunWatch(folder, {}, BEST)
    for step, value in ((1, 0.6), (2, 0.5)):
        save(folder, step)
        watch.look(step, {BEST: value})
    restarted = RunWatch(folder, {}, BEST)
    save(folder, 3)
    restarted.look(3, {BEST: 0.4})

    assert kept(folder) == ["global_step_1", "global_step_3"]
    save(folder, 4)
    restarted.look(4, {BEST: 0.7})
    save(folder, 5)

    assert kept(folder) == ["global_step_4", "global_step_5"]
    assert [event["step"] for event in events(folder, "best")] == [1, 4]


def test_a_request_is_done_once(folder):
    requests.ask(folder.root, "validate")
    watch = RunWatch(folder, {}, None)
    assert watch.asked("validate")
    assert not watch.asked("stop")
    watch.done("validate")

    assert not watch.asked("validate")
    assert [event["request"] for event in events(folder, "asked")] == ["validate"]
