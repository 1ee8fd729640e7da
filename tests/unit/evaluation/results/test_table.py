"""The table of a result: what is counted, what is averaged, and that every form of it says the same."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from medix_r1.config import config_dir
from medix_r1.errors import DataError
from medix_r1.evaluation.results import table
from medix_r1.evaluation.results.compare import compare
from medix_r1.evaluation.results.judges import HEADLINE as JUDGES_HEADLINE
from medix_r1.evaluation.results.judges import look
from medix_r1.evaluation.results.sheet import Sheet
from medix_r1.evaluation.sharing.submission import submit
from medix_r1.host.yaml_text import read_yaml
from medix_r1.untrusted import cell, markdown, one_line, plain
from tests.support.eval_run import info, record, scores, synthetic, write_result
from tests.support.problems import coded

EVIL = (
    "=1+1 <script>alert(1)</script> [red]x[/red] \x1b[31m |pipe| `code` ![i](http://x.test/i.png) www.x.test \u202eabc"
)


def terminal(sheet: Sheet) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    sheet.show(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_an_unscored_sample_is_counted_and_never_a_zero() -> None:
    rows = scores([1.0, 1.0, 0.0, None])
    found = table.task_numbers("rad_vqa", rows)
    assert found.score.value == pytest.approx(2 / 3)
    assert (found.samples, found.unscored, found.reasons) == (4, 1, {"the judge did not answer": 1})
    assert (found.lowest, found.highest) == (0.5, 0.75)


def test_what_a_row_counts() -> None:
    rows = [
        record(0, judge_free=True, tokens_out=10, seconds=1.0, rubric=0.5),
        record(1, 0.0, finish_reason="length", tokens_out=30, seconds=3.0, rubric=1.0),
        record(2, None, reply=None, finish_reason=None, tokens_in=0, tokens_out=0, seconds=0.0),
        record(3, None, finish_reason="length"),
    ]
    found = table.task_numbers("rad_vqa", rows)
    assert (found.truncated, found.judge_free) == (2, 0.5)
    assert (found.tokens_in, found.tokens_out, found.seconds) == (100, 20, 1.5)  # of the replies that there are
    assert found.rubric.value == 0.75
    assert found.score.value == 0.5  # the rubric is apart


def test_a_task_without_any_score_is_shown_and_in_no_average() -> None:
    found = table.numbers(info(), {"medqa": scores([None, None], "medqa"), "rad_vqa": scores([1.0, 0.0])})
    assert [task.score.value for task in found.tasks] == [None, 0.5]
    assert [a.tasks for a in found.averages] == [("rad_vqa",)] * 2
    assert [note for note in table.sheet(found).notes if note.endswith(": medqa.")]
    nothing = table.numbers(info(), {"medqa": scores([None], "medqa"), "rad_vqa": []})
    assert nothing.averages == ()
    assert "rad_vqa" in terminal(table.sheet(nothing))


def test_the_averages_over_all_17_keep_mimic_apart() -> None:
    records = {task: scores([1.0, 0.0, 1.0, 0.0], task) for task in table.HEADLINE}
    for task in table.MIMIC:
        records[task] = scores([0.2] * 4, task)
    found = table.averages(records)
    assert [len(average.tasks) for average in found] == [17, 15, 2, 17]
    whole = (15 * 0.5 + 2 * 0.2) / 17
    assert [average.score.value for average in found] == pytest.approx([whole, 0.5, 0.2, whole])
    assert [average.name.split()[0] for average in found] == ["macro,", "macro", "MIMIC", "micro,"]


def test_other_tasks_stay_out_of_the_headline_and_are_averaged_when_alone() -> None:
    both = {"rad_vqa": scores([1.0, 0.0]), "mmmu_medical": scores([1.0, 1.0], "mmmu_medical")}
    found = table.numbers(info(), both)
    assert (found.averages[0].tasks, found.averages[0].score.value) == (("rad_vqa",), 0.5)
    assert [note for note in table.sheet(found).notes if note.endswith(": mmmu_medical.")]
    alone = table.averages({"mmmu_medical": scores([1.0, 1.0], "mmmu_medical")})
    assert (alone[0].tasks, alone[0].score.value) == (("mmmu_medical",), 1.0)


def test_the_17_are_those_of_the_configs() -> None:

    files = (config_dir() / "eval" / "task").glob("*.yaml")
    contents = {path.stem: read_yaml(path) for path in files}
    assert {name for name, task in contents.items() if task.get("headline", True)} == set(table.HEADLINE)


def test_a_result_limited_to_some_samples_says_so() -> None:
    limited = replace(info(), extra={"limited": {"rad_vqa": [2, 451]}})
    sheet = table.sheet(table.numbers(limited, {"rad_vqa": scores([1.0, 0.0])}))
    assert sheet.rows[0][1] == "2 of 451"
    assert [note for note in sheet.notes if note.endswith(": rad_vqa.")]


def test_every_file_says_the_same(tmp_path: Path) -> None:
    run = write_result(tmp_path / "run", info(), synthetic(1, 0.6))
    found = table.read_numbers(run)
    paths = table.write(found, run)
    assert [path.name for path in paths] == ["table.json", "table.csv", "table.md", "scores.png", "scores_dark.png"]
    data = json.loads(paths[0].read_text(encoding="utf-8"))
    rows = list(csv.DictReader(paths[1].read_text(encoding="utf-8").splitlines()))
    for task, said, row in zip(found.tasks, data["tasks"], rows, strict=False):
        assert said["score"]["value"] == task.score.value == float(row["score"])
        assert task.score.interval is not None
        assert said["score"]["interval"]["low"] == task.score.interval.low == float(row["score_low"])
        assert f"| {task.task} | {task.samples} | {task.score.value:.3f} |" in paths[2].read_text(encoding="utf-8")
    assert [row["kind"] for row in rows[4:]] == ["macro", "macro", "MIMIC", "micro"]
    assert paths[3].read_bytes().startswith(b"\x89PNG")
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_folder_that_is_no_result_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, check=coded("not-a-result", "run.json")):
        table.read_numbers(tmp_path)


def test_hostile_names_and_reasons_cannot_speak_for_us() -> None:
    rows = [replace(row, unscored=EVIL) for row in scores([None, None])] + scores([1.0, 0.0])
    sheet = table.sheet(table.numbers(info(EVIL), {"rad_vqa": rows}))
    shown = terminal(sheet)
    assert "\x1b[31m" not in shown
    assert "[red]x[/red]" in shown  # shown as written, no colour
    text = sheet.markdown()
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert not any(tag in page for tag in ("<script", "<img", "<a ", "<code"))
    assert all(line.count("|") - line.count("\\|") == 11 for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\n", "|", "%", "＝", " =", "\n\n="])
def test_no_cell_is_a_formula(start: str) -> None:
    assert cell(f"{start}1+1").startswith("'")


def test_texts_for_people_keep_their_words_and_lose_their_powers() -> None:
    assert cell("a=b") == "a=b"
    assert plain("a\x1b[2J\u202eb\ud800\nc\td") == "a\ufffd[2J\ufffdb\ufffd\nc\td"
    assert one_line("a\n b " + "x" * 400, 5) == "a b x… (399 more characters)"


def test_hostile_text_in_markdown_renders_as_the_text_it_is() -> None:
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"- {markdown(EVIL)}")
    assert page.count("<") == 4  # ul, li, and their ends
    assert "![i](http://x.test/i.png)" in page
    assert "|pipe| `code`" in page


def test_a_users_own_file_is_in_no_headline_and_named() -> None:
    records = {"rad_vqa": scores([1.0, 0.0]), "mmlu_anatomy": scores([1.0, 1.0], "mmlu_anatomy")}
    found = table.numbers(info(extra={"own_data": ["rad_vqa"]}), records)
    assert found.averages[0].tasks == ("mmlu_anatomy",)
    assert found.averages[0].name == "macro, 1 of the 17"
    assert [row[0] for row in table.sheet(found).rows][:2] == ["mmlu_anatomy", "rad_vqa (own data)"]
    alone = table.numbers(info(extra={"own_data": ["rad_vqa"]}), {"rad_vqa": scores([1.0, 0.0])})
    assert alone.averages[0].name == "macro, 1 task, none of the 17"


@pytest.mark.parametrize("key", ["own_data", "changed"])
def test_what_is_not_the_benchmarks_is_in_no_headline_of_any_verb(key: str, tmp_path) -> None:
    about = info(extra={key: ["rad_vqa"]})
    records = {"rad_vqa": scores([1.0, 1.0, 0.0]), "medqa": scores([0.0, 1.0, 0.0], task="medqa")}
    (macro, *_) = table.numbers(about, records).averages
    assert macro.tasks == ("medqa",)
    (average, *_) = compare((info(), records), (about, records)).averages
    assert average.pairs == 3
    assert {row.score.samples for row in look([(about, records)]).rows if row.task == JUDGES_HEADLINE} == {3}
    bundle = submit(write_result(tmp_path / "run", about, records), tmp_path / "out")
    assert "rad_vqa" in bundle.missing
