"""Data sets of full size: a million small files, a line of two gigabytes, one damaged picture among ten thousand."""

import json
import resource
from pathlib import Path

import pytest

from medix_r1.data.sources.base import known_columns
from medix_r1.data.sources.folder import folder
from medix_r1.data.sources.lines import JsonlSource
from medix_r1.data.sources.packed import MAX_LINE
from tests.unit.data.support import encoded, make_backbone, picture, row, run_prepare, write_rows

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

FILES, PICTURES = 1_000_000, 10_000
LINE = 2 * 2**30  # bytes
MEMORY = 4 * 2**30  # bytes that this process may have held at most, all tests together


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_million_small_files(tmp_path: Path) -> None:
    text = json.dumps({"question": "Which?", "answer": "left"})
    for number in range(FILES):
        if number % 1000 == 0:
            (tmp_path / f"{number // 1000:04d}").mkdir()
        (tmp_path / f"{number // 1000:04d}" / f"{number:07d}.json").write_text(text)

    source = folder(path=str(tmp_path), columns=known_columns())
    units = source.units(256)

    assert sum(unit.stop - unit.start for unit in units) == FILES
    assert len(list(source.rows(units[-1]))) == units[-1].stop - units[-1].start
    assert len(source.revision().files) <= 1000  # the manifest does not hold a million names
    assert peak() < MEMORY


def test_a_line_of_two_gigabytes(tmp_path: Path) -> None:
    good = json.dumps({"question": "Which?", "answer": "left"}) + "\n"
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        file.write(good + '{"question": "')
        for _ in range(LINE // 2**20):
            file.write("x" * 2**20)
        file.write('", "answer": "left"}\n' + good)

    source = JsonlSource(path=str(path), columns=known_columns())
    rows = [found for unit in source.units(1) for found in source.rows(unit)]

    assert [found.problem is None for found in rows] == [True, False, True]
    assert str(MAX_LINE) in str(rows[1].problem)
    assert peak() < MEMORY


@pytest.mark.parametrize("damaged", [4_321])
def test_one_damaged_picture_among_ten_thousand(tmp_path: Path, damaged: int) -> None:
    rows = [row(number, images=[encoded(picture(number, 32, 32))]) for number in range(PICTURES)]
    rows[damaged]["images"] = [rows[damaged]["images"][0][:90]]

    summary = run_prepare(write_rows(tmp_path, rows), tmp_path / "out", make_backbone(tmp_path / "backbone"))

    assert summary.rejected == {"corrupt_image": 1}
    assert summary.train + summary.validation + summary.merged == PICTURES - 1
