"""Pictures of a blinded sheet come from the tasks' own data, but for those that may not be passed on."""

from dataclasses import replace

import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.benchmarks.items import load_items
from medix_r1.evaluation.benchmarks.kept_task import TASK_FILE, keep_task, kept_task
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.settings import known_tasks
from medix_r1.evaluation.sharing.blind import BlindPair, page
from medix_r1.evaluation.sharing.pictures import TaskPictures
from tests.support import eval_rows
from tests.support.eval_run import record
from tests.support.problems import coded


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    return eval_rows.write_hub_copies(tmp_path_factory.mktemp("hub"))


def _records(hub, tmp_path, name: str) -> list[Record]:
    items = load_items(known_tasks()[name], data_dir=hub, cache_dir=tmp_path).items
    return [replace(record(item.row, task=name), id=item.id) for item in items]


def test_each_sample_has_all_of_its_pictures(hub, tmp_path) -> None:
    records = _records(hub, tmp_path, "medframeqa") + _records(hub, tmp_path, "rad_vqa")
    reading = TaskPictures(tmp_path / "result", hub)
    found = reading.of(records)
    assert [len(found[each.id]) for each in records] == [2, 1, 1, 1]
    assert reading.missing == {}
    pairs = [BlindPair(f"p{n}", each, each, True) for n, each in enumerate(records)]
    shown = page(pairs, pictures=found)
    assert shown.count('<img src="data:image/jpeg;base64,') == 5


def test_what_may_not_or_cannot_be_shown_is_told(hub, tmp_path) -> None:
    reading = TaskPictures(tmp_path / "result", tmp_path / "nowhere")
    found = reading.of([record(0, task=name) for name in ("mimic_cxr_report_generation", "rad_vqa", "medqa", "mine")])
    assert found == {}
    assert set(reading.missing) == {"mimic_cxr_report_generation", "rad_vqa", "mine"}
    other = TaskPictures(tmp_path / "result", hub)
    assert other.of([record(0, task="rad_vqa")]) == {}  # no such id in the data
    assert set(other.missing) == {"rad_vqa"}


def test_a_result_knows_where_its_own_rows_are(hub, tmp_path, monkeypatch) -> None:
    """A file in place of a benchmark's, and a task of the user's, need no further word."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.png").write_bytes(eval_rows.png((1, 2, 3)))
    (tmp_path / "rows.csv").write_text("question,answer,image\nWhich side?,left,x.png\n")
    own = replace(known_tasks()["rad_vqa"], name="mine", path=None, file="rows.csv")
    keep_task(own, None, tmp_path / "result" / "mine")
    keep_task(known_tasks()["rad_vqa"], str(hub), tmp_path / "result" / "rad_vqa")
    monkeypatch.chdir("/")
    asked = load_items(replace(own, file=str(tmp_path / "rows.csv")), data_dir=None, cache_dir=tmp_path).items
    records = [replace(record(0, task="mine"), id=asked[0].id), *_records(hub, tmp_path, "rad_vqa")]
    reading = TaskPictures(tmp_path / "result")
    assert [len(shown) for shown in reading.of(records).values()] == [1, 1, 1, 1]
    assert reading.missing == {}


def test_a_task_of_another_version_is_told(tmp_path) -> None:
    assert kept_task(tmp_path) is None
    (tmp_path / TASK_FILE).write_text('{"data_dir": null, "colour": "red"}')
    with pytest.raises(DataError, check=coded("another-file", TASK_FILE)):
        kept_task(tmp_path)
