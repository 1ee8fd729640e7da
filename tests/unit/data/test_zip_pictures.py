"""Pictures in a zip archive: every kind of source reads them, and what cannot be had is said."""

import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medix_r1.data.check import check_row
from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.row import RowRejected
from medix_r1.data.settings import read_settings
from medix_r1.errors import ConfigError
from tests.support.problems import only
from tests.unit.data.support import encoded, picture, run_prepare, write_rows

PNG = encoded(picture(1))
ROW = {"question": "Which lung?", "answer": "left", "tag": "X_RAY", "images": "x/a.png"}


@pytest.fixture(scope="module")
def counter(backbone):
    return PromptCounter(backbone)


def archive(path, name="x/a.png", content=PNG):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, content)
    return path


def checked(overrides, counter):
    settings = read_settings(overrides)
    rows = [raw for unit in settings.source.units(10) for raw in settings.source.rows(unit)]
    return [check_row(raw, settings.rules, counter).row for raw in rows]


def write(folder, kind):
    if kind == "jsonl":
        (folder / "rows.jsonl").write_text(json.dumps(ROW))
    elif kind == "csv":
        (folder / "rows.csv").write_text(f"{','.join(ROW)}\n{','.join(ROW.values())}\n")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist([ROW]), folder / "rows.parquet")
    else:
        (folder / "a.json").write_text(json.dumps(ROW))
    return folder


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "folder"])
def test_every_kind_of_source_reads_them(kind, tmp_path, counter):
    made = archive(tmp_path / "elsewhere/pictures.zip")
    rows = write(tmp_path, kind)

    [row] = checked([f"data={kind}", f"data.path={rows}", f"data.image_root={made}"], counter)

    assert row.images[0].content == PNG


def test_slake_is_read_as_it_is_downloaded(tmp_path, counter):
    archive(tmp_path / "imgs.zip", "imgs/x/source.jpg")
    row = {
        "img_name": "x/source.jpg",
        "question": "Which?",
        "answer": "left",
        "q_lang": "en",
        "modality": "CT",
        "qid": 1,
    }
    (tmp_path / "train.json").write_text(json.dumps([row]))

    [found] = checked(["data=slake", f"data.path={tmp_path}/train.json"], counter)

    assert found.images[0].content == PNG


def test_medxpertqa_is_read_as_it_is_downloaded(tmp_path, counter):
    archive(tmp_path / "images.zip", "images/MM-1-a.jpeg")
    row = {
        "id": "MM-1",
        "question": "Which?",
        "options": {"A": "one", "B": "two"},
        "label": "B",
        "images": ["MM-1-a.jpeg"],
    }
    (tmp_path / "MM").mkdir()
    (tmp_path / "MM/dev.jsonl").write_text(json.dumps(row))

    [found] = checked(["data=medxpertqa", f"data.path={tmp_path}/MM/dev.jsonl", "default_tag=OTHER"], counter)

    assert found.images[0].content == PNG


@pytest.mark.parametrize(
    ("named", "content", "reason"),
    [
        ("y/a.png", PNG, "missing_image"),
        ("../x/a.png", PNG, "path_outside"),
        ("x/a.png", PNG[:60], "corrupt_image"),
        ("x/a.png", b"\0" * 2_000_000, "image_bomb"),
    ],
)
def test_what_cannot_be_had_is_a_rejected_row(named, content, reason, tmp_path, counter):
    made = archive(tmp_path / "pictures.zip", content=content)
    (tmp_path / "rows.jsonl").write_text(json.dumps({**ROW, "images": named}))
    overrides = ["data=jsonl", f"data.path={tmp_path}", f"data.image_root={made}", "image.max_mebibytes=1"]

    with pytest.raises(RowRejected) as caught:
        checked(overrides, counter)
    assert caught.value.reason == reason
    with pytest.raises(RowRejected) as hidden:
        checked([*overrides, "data.hide_names=true"], counter)
    assert hidden.value.reason == reason
    assert "a.png" not in hidden.value.detail
    assert "pictures" not in hidden.value.detail


def test_an_archive_in_the_folder_of_a_missing_picture_is_named(tmp_path, counter):
    archive(tmp_path / "pictures.zip")
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW))

    with pytest.raises(RowRejected) as caught:
        checked(["data=jsonl", f"data.path={tmp_path}"], counter)
    assert f"data.image_root={tmp_path}/pictures.zip" in caught.value.detail


@pytest.mark.parametrize(("made", "code"), [(None, "no-such-file"), (b"\x1f\x8b tar", "not-a-folder")])
def test_an_image_root_that_is_none_is_said_at_once(made, code, tmp_path):
    if made:
        (tmp_path / "pictures").write_bytes(made)
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW))

    with pytest.raises(ConfigError, check=only(("data.image_root", code))):
        read_settings(["data=jsonl", f"data.path={tmp_path}", f"data.image_root={tmp_path}/pictures"])


def test_a_set_is_prepared_from_an_archive(tmp_path, backbone):
    rows = [{**ROW, "question": f"Which of {number}?", "images": [f"{number}.png"]} for number in range(6)]
    path = write_rows(tmp_path / "rows", rows)
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as file:
        for number in range(6):
            file.writestr(f"{number}.png", encoded(picture(number)))

    summary = run_prepare(path, tmp_path / "out", backbone, f"data.image_root={tmp_path}/pictures.zip")

    assert summary.rejected == {}
    assert summary.train + summary.validation == 6
