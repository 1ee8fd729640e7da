"""Two results on the same samples: what is joined, what is counted, what is tested, what is shown."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from medix_r1.evaluation.results import comparison_text
from medix_r1.evaluation.results.compare import Comparison, compare, join, read_comparison
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.results.sheet import between
from medix_r1.evaluation.results.statistics import holm, paired
from tests.support.eval_run import info, record, scores, synthetic, write_result

EVIL = "<script>alert(1)</script> [red]x[/red] \x1b[31m [a](http://x.test)"


def of(first: list[Record], second: list[Record]) -> Comparison:
    return compare((info("org/A"), {"rad_vqa": first}), (info("org/B"), {"rad_vqa": second}))


def terminal(found: Comparison, **options: bool) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    comparison_text.show(found, console, **options)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_samples_are_joined_by_id_and_what_does_not_match_is_counted() -> None:
    first = [record(0, 1.0), record(1, None), record(2, 0.0), record(3, None), record(4, 1.0)]
    second = [record(3, None), record(2, None), record(1, 1.0), record(0, 0.0), record(9, 1.0), record(8, None)]
    pairs, lost = join(first, second)
    assert [(pair.first.id, pair.scores) for pair in pairs] == [("rad_vqa-0000", (1.0, 0.0))]
    assert (lost.only_first, lost.only_second, lost.first, lost.second, lost.both) == (1, 2, 1, 1, 1)


def test_an_id_that_occurs_twice_is_paired_in_order() -> None:
    twice = [record(0, 1.0, id="x"), record(1, 0.0, id="x")]
    pairs, lost = join(twice, [replace(twice[1], score=1.0), twice[0]])
    assert [pair.scores for pair in pairs] == [(1.0, 1.0), (0.0, 1.0)]
    assert lost.count == 0


def test_the_row_is_the_paired_difference_second_minus_first() -> None:
    first, second = scores([0.0] * 8 + [1.0] * 4), scores([1.0] * 6 + [0.0] * 2 + [1.0] * 3 + [0.0])
    row = of(first, second).tasks[0]
    expected = paired([r.score or 0.0 for r in first], [r.score or 0.0 for r in second], [r.group for r in first])
    assert row.difference == expected
    assert (row.pairs, row.first, row.second, row.up, row.down) == (12, 4 / 12, 9 / 12, 6, 1)
    assert row.difference.estimate.value == pytest.approx(5 / 12)
    assert row.difference.p == pytest.approx(2 * 8 / 2**7)  # McNemar, exact: at most 1 of 7 the other way


def test_several_tasks_are_corrected_together_and_the_reader_is_told() -> None:
    first, second = synthetic(1, 0.4), synthetic(2, 0.8)
    found = compare((info("org/A"), first), (info("org/B"), second))
    assert [row.name for row in found.tasks] == ["mmlu_anatomy", "medqa", "rad_vqa", "mimic_cxr_report_generation"]
    assert [row.p_holm for row in found.tasks] == holm([row.difference.p for row in found.tasks])
    assert {row.name for row in found.modalities} == {"CT", "MRI", "X-ray", "not stated"}
    (told,) = [note for note in comparison_text.sheet(found).notes if note.startswith("8 lines")]
    assert " 0.4 " in told
    assert told in terminal(found)
    assert [row.name for row in found.averages] == ["macro, 4 task(s)", f"micro, {found.averages[1].pairs} pairs"]
    assert found.averages[0].difference.estimate.value == pytest.approx(
        sum(row.difference.estimate.value or 0.0 for row in found.tasks) / 4
    )


def test_no_modality_no_lines_for_it() -> None:
    assert of(scores([1.0, 0.0]), scores([0.0, 0.0])).modalities == ()


def test_nothing_in_common_is_said() -> None:
    found = of(scores([1.0, None]), scores([None, 1.0]))
    assert found.tasks[0].difference.p is None
    assert found.averages == ()
    assert comparison_text.NOTHING_TO_COMPARE in terminal(found)


def test_flips_are_shown_in_both_directions_without_choosing_by_score() -> None:
    first = scores([0.0, 1.0, 0.0, 1.0, 1.0])
    second = scores([1.0, 0.0, 1.0, 1.0, 0.0])
    found = of(first, second)
    assert [pair.first.row for pair in found.up] == [0, 2]
    assert [pair.first.row for pair in found.down] == [1, 4]
    shown = terminal(found)
    assert "\n2 higher" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "rad_vqa row 2, 0.00 -> 1.00: What is seen in picture 2?" in shown
    assert "second: effusion [judge: says so]" in shown


def test_settings_that_differ_are_named() -> None:
    other = info("org/B", prompt="plain", decoding={"temperature": 0.6, "max_tokens": 64}, data={"rad_vqa": "new"})
    found = compare((info("org/A"), {"rad_vqa": scores([1.0])}), (other, {"rad_vqa": scores([1.0])}))
    assert found.differing == ("prompt: training / plain", "decoding.temperature: 0.0 / 0.6", "data.rad_vqa: abc / new")
    assert f": {'; '.join(found.differing)}." in terminal(found)


def test_hostile_replies_are_shown_as_text_and_restricted_ones_not_at_all() -> None:
    first = [record(0, 0.0, answer=EVIL), record(1, 0.0, restricted=True, answer="SECRET", question="SECRET")]
    found = of(first, [record(0, 1.0, question=EVIL, reference=EVIL), record(1, 1.0, restricted=True, answer="SECRET")])
    shown, text = terminal(found), comparison_text.markdown(found)
    assert "\x1b[31m" not in shown
    assert "[red]x[/red]" in shown
    assert "<script>" not in text
    assert "<a " not in MarkdownIt("commonmark").render(text)
    assert "SECRET" not in shown + text
    assert comparison_text.NOT_SHOWN in shown


def test_every_file_says_the_same(tmp_path: Path) -> None:
    a = write_result(tmp_path / "a", info("org/A"), synthetic(1, 0.4))
    b = write_result(tmp_path / "b", info("org/B"), synthetic(2, 0.8))
    found = read_comparison(a, b)
    paths = comparison_text.write(found, tmp_path / "out")
    ends = (".json", ".csv", ".md", ".png", "_dark.png")
    assert [path.name for path in paths] == [f"compare{end}" for end in ends]
    data = json.loads(paths[0].read_text(encoding="utf-8"))
    rows = list(csv.DictReader(paths[1].read_text(encoding="utf-8").splitlines()))
    estimates = [
        row.difference.estimate.value for row in (*found.tasks, *found.modalities, *found.averages, *found.types)
    ]
    assert [float(row["difference"]) for row in rows] == [row["difference"] for row in data["rows"]] == estimates
    assert len(data["changed"]["up"]) == sum(row.up for row in found.tasks)
    assert "SECRET" not in paths[0].read_text(encoding="utf-8") + paths[2].read_text(encoding="utf-8")
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_another_judge_of_the_same_replies_is_a_table_of_shifts() -> None:
    first, second = synthetic(1, 0.5), synthetic(1, 0.5)
    second["rad_vqa"] = [
        replace(r, score=0.0 if r.score and n < 9 else r.score) for n, r in enumerate(second["rad_vqa"])
    ]
    judges = {"judges": [{"model": "org/Judge-2", "revision": None}]}
    found = compare((info(), first), (info(judge=judges), second))
    title = comparison_text.title(found, judges=True)
    assert [word for word in ("org/Model-1.5", "org/Judge-2", "minus") if word not in title] == []
    _, shift = comparison_text.sheet(found, judges=True).notes[-2:]
    assert "3 of 4 task(s)" in shift
    assert found.other_replies == 0
    changed = {**second, "medqa": [replace(r, reply="other") for r in second["medqa"]]}
    others = compare((info(), first), (info(), changed))
    assert others.other_replies == 40
    assert comparison_text.sheet(others, judges=True).notes[-1].startswith("40 pairs")


def test_means_by_rubrics_are_told_not_to_be_clipped() -> None:
    rows = {"healthbench": [record(n, -0.5, task="healthbench") for n in range(3)]}
    notes = comparison_text.sheet(compare((info(), rows), (info(), rows))).notes
    plain = comparison_text.sheet(compare((info(), synthetic(1, 0.4)), (info(), synthetic(2, 0.8)))).notes
    assert [any("clipped" in note for note in each) for each in (notes, plain)] == [True, False]


def test_at_80_columns_no_line_is_wider_and_nothing_is_broken() -> None:
    found = compare((info("org/A"), synthetic(1, 0.4)), (info("org/B"), synthetic(2, 0.8)))
    file = io.StringIO()
    comparison_text.sheet(found).show(Console(width=80, file=file))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    intervals = [between(row.difference.estimate.interval, "+.3f") for row in (*found.tasks, *found.averages)]
    assert [interval for interval in intervals if not any(interval in line for line in lines)] == []
    assert [row.name for row in found.tasks if row.name not in lines] == []
