"""Blind pairs: drawn fairly, shown without a name, safe to open, and read back."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from medix_r1.errors import DataError
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.sharing import blind_result
from medix_r1.evaluation.sharing.blind import Export, draw, export
from tests.support.eval_run import info, record, synthetic, write_result
from tests.support.problems import coded, codes

EVIL = '=cmd|"/c calc"!A1 <script>alert(1)</script><img src=x onerror=alert(2)> "><b> \x1b[31m\u202e'


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def answers(count: int, whose: str, **changes: Any) -> dict[str, list[Record]]:
    return {"rad_vqa": [record(n, answer=f"{whose} {n}", think=f"why {whose}", **changes) for n in range(count)]}


def made(folder: Path, count: int = 30, **options: Any) -> Export:
    a = write_result(folder / "a", info("org/Alpha"), answers(count, "this"))
    b = write_result(folder / "b", info("org/Beta"), answers(count, "that"))
    return export(a, b, folder / "blind", **{"seed": 1, **options})


def fill(sheet: Path, key: Path, wins: list[str], delimiter: str = ",") -> Path:
    """Fill a sheet so that pair n is won by wins[n]: first, second, tie or nobody."""
    pairs = json.loads(key.read_text(encoding="utf-8"))["pairs"]
    rows = rows_of(sheet)
    for row, winner in zip(rows, wins, strict=True):
        left = pairs[row["pair"]]["left"]
        row["preference"] = {"tie": "Tie", "": ""}.get(winner) or (
            "" if not winner else ["Right", " left "][winner == left]
        )
    path = sheet.with_name("filled.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_sheet_names_nobody_and_the_key_stays_beside_it(tmp_path: Path) -> None:
    out = made(tmp_path)
    shown = out.sheet.read_text(encoding="utf-8") + out.page.read_text(encoding="utf-8")
    assert not any(name in shown for name in ("Alpha", "Beta", "first", "second", "org/"))
    assert [path.name for path in sorted(out.sheet.parent.iterdir())] == ["sheet.csv", "sheet.html"]
    key = json.loads(out.key.read_text(encoding="utf-8"))
    assert (key["first"]["model"], key["second"]["model"], key["seed"]) == ("org/Alpha", "org/Beta", 1)
    for row in rows_of(out.sheet):
        left, right = ("this", "that") if key["pairs"][row["pair"]]["left"] == "first" else ("that", "this")
        assert row["left_answer"] == f"{left} {row['row']}"
        assert row["left_reasoning"] == f"why {left}"
        assert row["right_answer"] == f"{right} {row['row']}"


def test_each_result_is_on_the_left_in_half_of_the_pairs_and_the_order_is_shuffled(tmp_path: Path) -> None:
    out = made(tmp_path)
    pairs = json.loads(out.key.read_text(encoding="utf-8"))["pairs"].values()
    assert sorted(pair["left"] for pair in pairs) == ["first"] * 15 + ["second"] * 15
    assert len({pair["left"] for pair in list(pairs)[::2]}) == 2  # nor by turns
    order = [pair["row"] for pair in pairs]
    assert order != sorted(order)
    assert sorted(order) == list(range(30))


def test_a_seed_repeats_a_sheet_and_without_one_nobody_can(tmp_path: Path) -> None:
    first, second = answers(30, "this"), answers(30, "that")
    assert draw(first, second, count=9, seed=1) == draw(first, second, count=9, seed=1)
    assert draw(first, second, count=9, seed=1) != draw(first, second, count=9, seed=2)
    seeds = {json.loads(made(tmp_path / str(n), seed=None).key.read_text("utf-8"))["seed"] for n in range(3)}
    assert len(seeds) == 3


def test_pairs_are_independent_and_what_is_left_out_is_counted() -> None:
    first, second = answers(4, "this", group="image"), answers(4, "that", group="image")
    first["rad_vqa"] += [
        record(10, answer="same", think="same"),
        record(11, None, reply=None, answer=None),
        record(12, restricted=True, answer="SECRET"),
        record(13),
        record(14, answer="this"),
    ]
    second["rad_vqa"] += [
        record(10, answer="same", think="same"),
        record(11),
        record(12, restricted=True, answer="OTHER SECRET"),
        record(14, answer="that"),
    ]
    pairs, lost = draw(first, second, count=1, seed=1)
    assert len(pairs) == 1
    assert (lost.unmatched, lost.no_reply, lost.restricted, lost.same, lost.cluster, lost.not_drawn) == (
        1,
        1,
        1,
        1,
        3,
        1,
    )


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_experts_see_the_passage_of_a_question(tmp_path: Path) -> None:
    passage = "Forty patients were followed."
    a = write_result(tmp_path / "a", info(), {"pubmedqa": [record(0, context=passage)]})
    b = write_result(tmp_path / "b", info(), {"pubmedqa": [record(0, context=passage, answer="no")]})
    out = export(a, b, tmp_path / "blind", seed=1)
    assert rows_of(out.sheet)[0]["question"].startswith(f"{passage}\n\nWhat is seen")
    assert passage in out.page.read_text(encoding="utf-8")


def test_hostile_replies_are_text_in_the_page_and_in_the_sheet(tmp_path: Path) -> None:
    one = record(0, answer=EVIL, think=EVIL, question=EVIL, choices=(EVIL,))
    a = write_result(tmp_path / "a", info(), {"rad_vqa": [one]})
    b = write_result(tmp_path / "b", info(), {"rad_vqa": [record(0, answer=f" {EVIL}")]})
    out = export(a, b, tmp_path / "blind", seed=1)
    elements = _Elements()
    elements.feed(out.page.read_text(encoding="utf-8"))
    assert not {"script", "img"} & set(elements.tags)
    assert elements.tags["b"] == 3  # ours
    assert elements.text.count("<script>alert(1)</script><img src=x onerror=alert(2)>") == 5
    assert "default-src 'none'" in out.page.read_text(encoding="utf-8")
    row = rows_of(out.sheet)[0]
    texts = [row[name] for name in ("question", "left_answer", "left_reasoning", "right_answer", "right_reasoning")]
    assert not any(text.lstrip().startswith(("=", "+", "-", "@")) for text in texts)
    assert "\x1b" not in out.sheet.read_text(encoding="utf-8")


def test_a_reply_that_could_not_be_taken_apart_is_shown_whole(tmp_path: Path) -> None:
    a = write_result(tmp_path / "a", info(), {"rad_vqa": [record(0, answer=None, think=None, reply="just words")]})
    b = write_result(tmp_path / "b", info(), {"rad_vqa": [record(0)]})
    row = rows_of(export(a, b, tmp_path / "blind").sheet)[0]
    assert {row["left_answer"], row["right_answer"]} == {"just words", "effusion"}


def test_images_are_inside_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "rad_vqa_0.png").write_bytes(b"\x89PNG picture")
    page = made(tmp_path, count=2, images=folder).page.read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png;base64,iVBORyBwaWN0dXJl"') == 1


def test_a_sheet_that_is_out_is_not_replaced(tmp_path: Path) -> None:
    key = made(tmp_path).key.read_bytes()
    with pytest.raises(DataError, check=coded("exists-already")):
        made(tmp_path, seed=2)
    assert (tmp_path / "blind-key.json").read_bytes() == key


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_filled_sheet_is_read_back(tmp_path: Path, delimiter: str) -> None:
    out = made(tmp_path)
    wins = ["first"] * 16 + ["second"] * 6 + ["tie"] * 5 + [""] * 3
    found = blind_result.read([fill(out.sheet, out.key, wins, delimiter)], out.key)
    one = found.sheets[0]
    assert (found.first, found.second) == ("org/Alpha", "org/Beta")
    assert (one.first, one.second, one.ties, one.open) == (16, 6, 5, 3)
    exact = binomtest(16, 22)
    assert one.rate.value == 16 / 22
    assert one.rate.interval is not None
    assert (one.rate.interval.low, one.rate.interval.high) == tuple(exact.proportion_ci(method="wilson"))
    assert one.p == exact.pvalue
    assert blind_result.sheet(found).rows[0][1:6] == ["27", "16", "6", "5", "3"]


def test_an_empty_sheet_has_no_rate(tmp_path: Path) -> None:
    out = made(tmp_path, count=3)
    one = blind_result.read([out.sheet], out.key).sheets[0]
    assert (one.rate.value, one.rate.interval, one.p, one.open) == (None, None, None, 3)
    assert "no interval" in blind_result.sheet(blind_result.read([out.sheet], out.key)).rows[0]


def test_an_expert_who_goes_by_the_side_is_noticed_and_two_are_compared(tmp_path: Path) -> None:
    out = made(tmp_path)
    lefts = [pair["left"] for pair in json.loads(out.key.read_text(encoding="utf-8"))["pairs"].values()]
    biased = fill(out.sheet, out.key, lefts).rename(out.sheet.with_name("biased.csv"))
    fair = fill(out.sheet, out.key, ["first"] * 30)
    found = blind_result.read([biased, fair], out.key)
    notes = blind_result.sheet(found).notes
    assert [note for note in notes if note.startswith("biased.csv: ") and "1.000" in note]
    assert not [note for note in notes if note.startswith("filled.csv: ")]
    assert any(note.startswith("biased.csv and filled.csv agree on 50% of 30 pairs, kappa 0.000") for note in notes)


def test_what_cannot_be_read_is_all_named(tmp_path: Path) -> None:
    out = made(tmp_path, count=3)
    rows = rows_of(out.sheet)
    names = [row["pair"] for row in rows]
    lines = ["pair,preference", f"{names[0]},maybe", f"{names[1]},left", f"{names[1]},right", "x-001,left"]
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, check=coded("sheet-refused", "'maybe'", names[1], "'x-001'")) as caught:
        blind_result.read([bad], out.key)
    assert codes(caught.value) == [
        (f"{bad}: row 2", "not-a-preference"),
        (f"{bad}: row 4", "repeated-pair"),
        (f"{bad}: row 5", "no-such-pair"),
    ]
    with pytest.raises(DataError, check=coded("not-a-key")):
        blind_result.read([out.sheet], out.sheet)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, check=coded("no-such-column")):
        blind_result.read([tmp_path / "other.csv"], out.key)


def test_results_with_nothing_to_compare_are_an_error(tmp_path: Path) -> None:
    a = write_result(tmp_path / "a", info(), synthetic(1, 0.5))
    with pytest.raises(DataError, check=coded("nothing-to-compare")):
        export(a, a, tmp_path / "blind")
    assert not (tmp_path / "blind-key.json").exists()
