import io
from dataclasses import replace

import pytest
from PIL import Image

from medix_r1.errors import DataError
from medix_r1.evaluation.benchmarks.image_conditions import CONDITIONS, with_images
from medix_r1.evaluation.benchmarks.items import TaskData, load_items
from medix_r1.evaluation.phases.messages import message_text
from medix_r1.evaluation.settings import known_tasks
from tests.support import eval_rows


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    return eval_rows.write_hub_copies(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def load(hub, tmp_path):
    return lambda name: load_items(known_tasks()[name], data_dir=hub, cache_dir=tmp_path)


def _changed(data: TaskData, condition: str) -> TaskData:
    changed = with_images(data, condition)
    assert changed is not None
    assert changed.key == data.key
    assert [(i.id, i.group, i.question) for i in changed.items] == [(i.id, i.group, i.question) for i in data.items]
    return changed


def test_real_pictures_are_left_alone_and_tasks_without_any_are_left_out(load) -> None:
    data, text = load("rad_vqa"), load("mmlu_anatomy")
    assert with_images(data, "real") is data
    assert [with_images(text, condition) for condition in CONDITIONS] == [text, None, None, None]


def test_a_blank_picture_is_grey_and_as_large(load) -> None:
    read = _changed(load("rad_vqa"), "blank").items[0].images[0].read()
    with Image.open(io.BytesIO(read)) as picture:
        assert (picture.size, picture.getcolors()) == ((32, 32), [(32 * 32, (128, 128, 128))])


@pytest.mark.parametrize("task", ["rad_vqa", "pmc_vqa", "mmmu_medical"])
def test_each_picture_becomes_the_same_other_one(load, task) -> None:
    data = load(task)
    pairs = {
        (one.key, other.key, one.number == other.number)
        for before, after in zip(data.items, _changed(data, "shuffled").items, strict=True)
        for one, other in zip(before.images, after.images, strict=True)
    }
    ours, theirs = [key for key, _, _ in pairs], [key for _, key, _ in pairs]
    assert len(set(ours)) == len(set(theirs)) == len(pairs)
    assert sorted(ours) == sorted(theirs)
    assert all(one != other and numbered for one, other, numbered in pairs)


def test_no_pictures_leave_no_marks(load) -> None:
    for item in _changed(load("mmmu_medical"), "none").items:
        assert item.images == ()
        assert "<image>" not in message_text(item, "training", "think")


def test_one_picture_alone_cannot_be_shuffled(load) -> None:
    with pytest.raises(DataError) as caught:
        with_images(load("slake_vqa"), "shuffled")
    assert caught.value.code == "nothing-to-shuffle"


def test_rows_without_a_picture_are_left_out(tmp_path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(eval_rows.png((1, 2, number)))
    (tmp_path / "rows.csv").write_text("question,answer,image\na?,b,0.png\nc?,d,\ne?,f,1.png\n")
    task = replace(known_tasks()["rad_vqa"], file=str(tmp_path / "rows.csv"))
    data = load_items(task, data_dir=None, cache_dir=tmp_path)
    asked = {condition: with_images(data, condition) for condition in CONDITIONS}
    assert {name: [item.question for item in one.items] for name, one in asked.items() if one} == {
        "real": ["a?", "c?", "e?"],
        **{name: ["a?", "e?"] for name in ("blank", "shuffled", "none")},
    }
    assert [one.total for one in asked.values() if one] == [3, 2, 2, 2]
