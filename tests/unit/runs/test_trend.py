from medix_r1.runs.trend import WINDOW, arrow, step_line

METRICS = {
    "reward/overall/mean": 0.51234,
    "reward/llm/mean": 0.25,
    "reward/embed/mean": 0.5,
    "reward/format/mean": 1.0,
    "reward/exact/mean": 0.1,
    "reward/masked_share": 0.0,
    "timing_s/step": 12.34,
}


def test_step_line():
    assert step_line([METRICS]) == "reward 0.512  llm 0.250  embed 0.500  format 1.000  exact 0.100  12.3 s"


def test_step_line_shows_lost_rollouts():
    assert "groups with lost rollouts 3" in step_line([METRICS | {"sampler/failed_groups": 3.0}])
    assert "lost" not in step_line([METRICS | {"sampler/failed_groups": 0.0}])


def test_step_line_shows_what_was_masked_and_how_the_judge_is():
    assert "  masked 25%  judge 40 ms  " in step_line(
        [METRICS | {"reward/masked_share": 0.25, "reward/llm/latency_p95": 0.04}]
    )
    assert step_line([{"reward/overall/mean": 1.0}]) == "reward 1.000  0.0 s"


def test_arrows_compare_two_windows():
    def history(*values):
        return [{"m": value} for value in values for _ in range(WINDOW)]

    assert arrow(history(0.1, 0.5), "m") == "↑"
    assert arrow(history(0.9, 0.5, 0.2), "m") == "↓"
    assert arrow(history(0.5, 0.51), "m") == "", "no trend"
    assert arrow(history(0.5)[1:] + history(0.9)[:1], "m") == "", "too little is known"
    assert step_line([METRICS | {"reward/llm/mean": step / 10} for step in range(10)]).startswith(
        "reward 0.512  llm 0.900↑  embed 0.500  "
    )
