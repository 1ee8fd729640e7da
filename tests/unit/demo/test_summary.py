import copy
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medix_r1.demo.result import SETS, Evaluation, SignalMean, read_evaluation
from medix_r1.demo.summary import NOTES, DemoSummary, show, table_rows, write_summary
from medix_r1.demo.summary_plots import draw
from medix_r1.errors import DataError
from medix_r1.reports import plots
from tests.support.problems import coded

BEFORE: dict[str, Any] = {
    "model": "outputs/demo/models/policy",
    "judge": "nano-judge",
    "embedder": "minilm",
    "seed": 1,
    "machine": "a CPU, 2 cores, 24 GiB",
    "seconds": 20.0,
    "sets": {
        name: {
            "rows": 80,
            "decoded": {
                "sampled": {
                    "replies": 400,
                    "signals": {
                        "overall": {"mean": 0.25, "masked_share": 0.0},
                        "llm": {"mean": 0.125, "masked_share": 0.0},
                        "exact": {"mean": 0.2, "masked_share": 0.0},
                    },
                    "shuffled_exact": 0.1,
                },
                "greedy": {
                    "replies": 80,
                    "signals": {
                        "overall": {"mean": 0.5, "masked_share": 0.0},
                        "llm": {"mean": None, "masked_share": 1.0},
                        "exact": {"mean": 0.2, "masked_share": 0.0},
                    },
                    "shuffled_exact": 0.1,
                },
            },
            "examples": [
                {
                    "row_id": "nano/0",
                    "question": "Which side [left|right]?",
                    "modality": "X_RAY",
                    "accepted": ["left", "left side"],
                    "greedy": "not sure",
                    "sampled": ["not sure", "left", "not sure", "right", "not sure"],
                }
            ],
        }
        for name in ("heldout_views", "heldout_sources")
    },
}
METRICS = {
    0: {"heldout/medix/nano/overall/mean": 0.25, "heldout/medix/nano/exact/mean": 0.2},
    1: {"reward/overall/mean": 0.3, "reward/exact/mean": 0.2, "timing_s/step": 9.0},
    2: {
        "reward/overall/mean": 0.5,
        "reward/exact/mean": 0.4,
        "timing_s/step": 3.0,
        "heldout/medix/nano/overall/mean": 0.6,
        "heldout/medix/nano/exact/mean": 0.5,
    },
}


def evaluation(folder: Path, name: str, content: dict[str, Any]) -> Evaluation:
    (folder / f"{name}.json").write_text(json.dumps(content))
    return read_evaluation(folder / f"{name}.json")


@pytest.fixture
def report(tmp_path: Path) -> DemoSummary:
    after = copy.deepcopy(BEFORE) | {"model": "merged"}
    sampled = after["sets"]["heldout_views"]["decoded"]["sampled"]
    sampled["signals"]["overall"]["mean"] = 0.75
    sampled["signals"]["overall"]["masked_share"] = 0.025
    after["sets"]["heldout_views"]["examples"][0] |= {"greedy": "left", "sampled": ["left"] * 5}
    return DemoSummary(
        evaluation(tmp_path, "before", BEFORE),
        evaluation(tmp_path, "after", after),
        METRICS,
        {"build": 3.2, "training": 400.0},
    )


def test_the_table_has_before_after_and_gain_of_both_decodings(report: DemoSummary) -> None:
    assert table_rows(report, "heldout_views") == [
        ["overall", "0.250", "0.750", "+0.500", "0.500", "0.500", "+0.000"],
        [NOTES["llm"], "0.125", "0.125", "+0.000", "-", "-", ""],
        [NOTES["exact"], "0.200", "0.200", "+0.000", "0.200", "0.200", "+0.000"],
        ["exact, shuffled", "0.100", "0.100", "+0.000", "0.100", "0.100", "+0.000"],
        ["not scored", "0.0%", "2.5%", "", "0.0%", "0.0%", ""],
    ]


def test_a_row_for_replies_without_a_score_only_if_there_are_any(report: DemoSummary) -> None:
    assert "not scored" not in [row[0] for row in table_rows(report, "heldout_sources")]


def test_the_summary_names_what_was_measured_where(report: DemoSummary, tmp_path: Path) -> None:
    pictures = draw(report, tmp_path)
    write_summary(report, tmp_path / "summary.md", pictures)

    summary = (tmp_path / "summary.md").read_text()
    for words in (
        "a CPU, 2 cores, 24 GiB; seed 1",
        *(f"80 questions on {pictures}" for pictures in SETS.values()),
        "| overall | 0.250 | 0.750 | +0.500 | 0.500 | 0.500 | +0.000 |",
        "before: not sure   [T=1: not sure x3, left, right]",
        "after:  left   [T=1: left x5]",
        "build 3, training 400, in all 403; a step 6.0 (median)",
        'src="reward.png"></picture>',
        "medical device",
    ):
        assert words in summary


def test_the_terminal_shows_the_same(report: DemoSummary, capsys: pytest.CaptureFixture[str]) -> None:
    show(report, Console(width=100))

    output = capsys.readouterr().out
    for words in (
        f"heldout_sources: {SETS['heldout_sources']}",
        "+0.500",
        "Which side [left|right]?",
        "machine: a CPU",
    ):
        assert words in output


def test_pictures_are_written(report: DemoSummary, tmp_path: Path) -> None:
    for picture in draw(report, tmp_path / "new"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 5_000


def test_a_run_without_metrics_still_has_a_picture(tmp_path: Path) -> None:
    assert all(path.stat().st_size > 0 for path in plots.reward_curves(tmp_path / "reward.png", {}))


def test_masked_replies_are_not_zeros() -> None:
    assert SignalMean.of([1.0, None, 0.0, None]) == SignalMean(0.5, 0.5)
    assert SignalMean.of([None]) == SignalMean(None, 1.0)


def test_an_evaluation_survives_its_file(report: DemoSummary, tmp_path: Path) -> None:
    report.after.write(tmp_path / "again" / "after.json")
    assert read_evaluation(tmp_path / "again" / "after.json") == report.after


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"sets": {"a": 1}}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, check=coded("not-an-evaluation")):
        read_evaluation(tmp_path / "x.json")
