"""Pictures of a blinded sheet come from the tasks' own data, but for those that may not be passed on."""

from dataclasses import replace

import pytest

from medix_r1.evaluation.benchmarks.items import load_items
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.settings import known_tasks
from medix_r1.evaluation.sharing.blind import BlindPair, page
from medix_r1.evaluation.sharing.pictures import TaskPictures
from tests.support import eval_rows
from tests.support.eval_run import record


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    return eval_rows.write_hub_copies(tmp_path_factory.mktemp("hub"))


def _records(hub, tmp_path, name: str) -> list[Record]:
    items = load_items(known_tasks()[name], data_dir=hub, cache_dir=tmp_path).items
    return [replace(record(item.row, task=name), id=item.id) for item in items]


def test_each_sample_has_all_of_its_pictures(hub, tmp_path) -> None:
    records = _records(hub, tmp_path, "medframeqa") + _records(hub, tmp_path, "rad_vqa")
    reading = TaskPictures(hub)
    found = reading.of(records)
    assert [len(found[each.id]) for each in records] == [2, 1, 1, 1]
    assert reading.missing == {}
    pairs = [BlindPair(f"p{n}", each, each, True) for n, each in enumerate(records)]
    shown = page(pairs, pictures=found)
    assert shown.count('<img src="data:image/jpeg;base64,') == 5


def test_what_may_not_or_cannot_be_shown_is_told(hub, tmp_path) -> None:
    reading = TaskPictures(tmp_path / "nowhere")
    found = reading.of(
        [record(0, task="mimic_cxr_report_generation"), record(0, task="rad_vqa"), record(0, task="medqa")]
    )
    assert found == {}
    assert set(reading.missing) == {"mimic_cxr_report_generation", "rad_vqa"}
    other = TaskPictures(hub)
    assert other.of([record(0, task="rad_vqa")]) == {}  # no such id in the data
    assert set(other.missing) == {"rad_vqa"}
