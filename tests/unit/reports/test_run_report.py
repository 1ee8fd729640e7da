import json
import re

import pytest

from medix_r1.errors import ConfigError
from medix_r1.reports import browser, charts, criteria, run_report
from medix_r1.runs.phases import phases, time_shares
from tests.support.problems import only
from tests.unit.reports.run_folder import make_run, sample


def test_phases_add_up_to_the_step():
    metrics = {"timing_s/step": 10.0, "timing_s/gen": 6.0, "timing_s/reward_tail": 1.0, "timing_s/update_actor": 2.0}
    seconds = phases(metrics | {"timing_s/testing": 4.0})
    assert {name: value for name, value in seconds.items() if value} == {
        "rollout": 5.0,
        "reward tail": 1.0,
        "update": 2.0,
        "rest": 2.0,
        "validation": 4.0,
    }
    assert time_shares([metrics, metrics]) == {"rollout": 0.5, "update": 0.2, "rest": 0.2, "reward tail": 0.1}
    assert time_shares([]) == {}


def test_charts_hold_the_logged_numbers():
    steps = {
        0: {"heldout/views/llm/mean": 0.1},
        1: {"reward/llm/mean": 0.25, "reward/llm/interval": 0.05},
        2: {"reward/llm/mean": 0.5, "heldout/views/llm/mean": 0.4},
    }
    (chart,) = charts.all_charts(steps)
    training, heldout = chart["traces"]
    assert (training["x"], training["y"], training["error_y"]["array"]) == ([1, 2], [0.25, 0.5], [0.05, None])
    assert (heldout["name"], heldout["x"], heldout["y"]) == ("held-out views", [0, 2], [0.1, 0.4])
    assert training["line"]["dash"] != heldout["line"]["dash"], "lines differ without colour"


def test_the_file_needs_nothing_from_outside(tmp_path):
    text = run_report.write_report(make_run(tmp_path)).read_text()
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", without_scripts)
    assert "default-src 'none'" in text


def test_hostile_text_stays_text(tmp_path):
    evil = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
    text = run_report.write_report(make_run(tmp_path, reply=evil)).read_text()
    assert evil not in text
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(block[1])["samples"][0]["reply"] == evil


def test_before_and_after_pair_the_same_question(tmp_path):
    text = run_report.write_report(make_run(tmp_path)).read_text()
    pairs = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["pairs"]
    assert [(pair["before"]["step"], pair["after"]["step"]) for pair in pairs] == [(0, 2)]
    assert pairs[0]["before"]["row_id"] == pairs[0]["after"]["row_id"]


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(ConfigError, check=only((str(tmp_path), "no-step-logged"))):
        run_report.write_report(tmp_path)


def looked_at(met: bool | None) -> dict[str, object]:
    one = {"text": "Names <b>the</b> lung", "met": met, "points": 5.0, "reason": "judge's words", "tags": ["accuracy"]}
    return {"details": {"rubric": [one]}}


def test_criteria_stand_in_tables_and_beside_each_sample(tmp_path):
    run = make_run(tmp_path)
    folder = run / "samples" / "train"
    for step, verdicts in ((1, [False, False]), (7, [True, None])):
        rows = [
            sample(f"{step}-{place}", 0.5, 0.5, answer=str(place), **looked_at(met))
            for place, met in enumerate(verdicts)
        ]
        (folder / f"{step:06d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "000002.jsonl").unlink()

    found = criteria.of_run(run)
    assert [(one.name, one.points) for one in found.criteria] == [("Names <b>the</b> lung", 5.0)]
    assert [one.name for one in found.tags] == ["accuracy"]
    page = run_report.write_report(run).read_text(encoding="utf-8")
    assert 'id="criteria"' in page
    assert "Names &lt;b&gt;the&lt;/b&gt; lung" in page
    shown = browser.payload(run)["samples"]
    assert [one["details"]["rubric"][0]["met"] for one in shown] == [False, False, True, None]


def test_the_share_of_met_criteria_is_of_the_first_and_of_the_last_steps(tmp_path):
    run = make_run(tmp_path)
    folder = run / "samples" / "train"
    for step in range(1, 9):
        (folder / f"{step:06d}.jsonl").write_text(json.dumps(sample(str(step), 0.5, 0.5, **looked_at(step > 3))) + "\n")
    (only,) = criteria.of_run(run).criteria
    assert (only.share("first"), only.share("last"), only.lost) == (0.0, 1.0, 0)


def test_a_run_without_criteria_has_no_such_section(tmp_path):
    run = make_run(tmp_path)
    assert not criteria.of_run(run)
    assert 'id="criteria"' not in run_report.write_report(run).read_text(encoding="utf-8")


def test_confidences_have_charts_of_training_and_of_each_held_out_set():
    steps = {1: {"reward/calibration/ece": 0.4}, 2: {"reward/calibration/ece": 0.2, "heldout/x/calibration/ece": 0.3}}
    (chart,) = charts.all_charts(steps)
    assert [(trace["name"], trace["x"], trace["y"]) for trace in chart["traces"]] == [
        ("training", [1, 2], [0.4, 0.2]),
        ("held-out x", [2], [0.3]),
    ]


def test_parts_that_the_reward_weighs_are_drawn(tmp_path):
    steps = {step: {"reward/rubric/mean": 0.1 * step, "reward/words/mean": 0.5} for step in (1, 2)}
    titles = [chart["title"] for chart in charts.all_charts(steps, ["rubric", "llm"])]
    assert titles == ["rubric"]
