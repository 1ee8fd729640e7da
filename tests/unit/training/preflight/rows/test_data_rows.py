"""Data files that verl would read otherwise than their owner thinks, or not at all."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from medix_r1.data.row import VERL_SCHEMA
from medix_r1.data.shards import SHARD_INDEX_SCHEMA
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_files import read_all
from medix_r1.training.preflight.rows.data_rows import data_problems
from tests.support.configs import set_in
from tests.support.problems import codes

TRAIN, VAL = "data.train_files", "data.val_files"
LIMIT = "actor_rollout_ref.rollout.engine_kwargs.vllm.limit_mm_per_prompt.image"


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = {"bytes": png(), "path": None, "min_pixels": None, "max_pixels": None}


def row(number: int = 0, **changes) -> dict:
    """A row as `data prepare` writes it, with one picture."""
    extra = {"index": number, "row_id": f"r{number}", "question": "Which side?", "answers": ["left"], "choices": []}
    base = {
        "data_source": "slake",
        "prompt": [{"role": "user", "content": "<image>Which side?"}],
        "images": [PICTURE],
        "ability": "vqa",
        "reward_model": {"style": "medix", "ground_truth": "<X_RAY>\nleft"},
        "extra_info": extra | changes.pop("extra", {}),
    }
    return base | changes


def parquet(path: Path, rows: list[dict], schema: pa.Schema | None = VERL_SCHEMA, group: int = 8) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=group)
    return path


@pytest.fixture
def config(tmp_path):
    """Runs the checks on training rows; the held-out file is always right."""
    held_out = parquet(tmp_path / "held_out.parquet", [row()])

    def of(files, **values):
        named = [str(file) for file in (files if isinstance(files, list) else [files])]
        sizes = {"data.train_batch_size": 24, "trainer.total_training_steps": None} | values
        return set_in("experiment=nano_cpu", **{TRAIN: named, VAL: [str(held_out)], **sizes})

    return of


@pytest.fixture
def problems(config):
    return lambda files, **values: list(data_problems(config(files, **values)))


def test_rows_as_prepared(tmp_path, problems):
    assert problems(parquet(tmp_path / "train.parquet", [row(number) for number in range(24)])) == []


def test_rows_of_lines(tmp_path, problems):
    """verl reads JSONL too; its images are paths."""
    (tmp_path / "a.png").write_bytes(png())
    rows = [row(number, images=[str(tmp_path / "a.png")]) for number in range(24)]
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in rows))
    assert problems(file) == []
    file = tmp_path / "train.json"
    file.write_text(json.dumps(rows))
    assert problems(file) == []


EASY_R1 = {"images": [PICTURE["bytes"]], "problem": "<image>Which side?", "answer": "left"}
PUBLIC = {
    "id": "1",
    "image": [{"bytes": png(), "path": None}],
    "source": "slake",
    "problem": "?",
    "solution": "<X_RAY>a",
}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (EASY_R1, "data prepare data=parquet data.path="),
        (PUBLIC, "data prepare data=parquet data.path="),
        ({"prompt": "Which side?", "reward_model": {"ground_truth": "left"}}, "data prepare data=parquet data.path="),
        ({"prompt": [{"role": "user", "content": "?"}], "antwort": "left"}, "data.columns.answer=COLUMN"),
        (
            {"prompt": [{"role": "user", "content": "?"}], "reward_model": {"style": "rule"}},
            "data.columns.answer=COLUMN",
        ),
        ({"frage": "?", "antwort": "links"}, "data.columns.answer=COLUMN"),
    ],
    ids=["EasyR1", "medix-rl-data", "prompt is text", "no reward_model", "no ground truth", "other columns"],
)
def test_another_layout_gets_its_prepare_line(tmp_path, problems, given, line):
    file = parquet(tmp_path / "train.parquet", [given] * 24, schema=None)
    (problem,) = problems(file)
    assert (problem.key, problem.code) == (TRAIN, "another-layout")
    assert line in problem.text
    assert str(file) in problem.text


NO_CONTENT = {"bytes": None, "path": "a.png", "min_pixels": None, "max_pixels": None}
WRONG_ROWS = [
    ({"extra": {"question": ""}}, (TRAIN, "no-question")),
    ({"extra": {"question": None}}, (TRAIN, "no-question")),
    ({"reward_model": {"style": "medix", "ground_truth": None}}, (TRAIN, "no-reference")),
    ({"prompt": [{"role": "user", "content": "Which side?"}]}, (TRAIN, "image-marks")),
    ({"prompt": [{"role": "user", "content": "<image><image>Which?"}]}, (TRAIN, "image-marks")),
    ({"images": []}, (TRAIN, "image-marks")),
    ({"prompt": []}, (TRAIN, "no-prompt")),
    ({"images": [NO_CONTENT]}, (TRAIN, "image-not-readable")),
    ({"images": [PICTURE | {"bytes": b"no picture"}]}, (TRAIN, "image-not-readable")),
    ({"images": [PICTURE] * 2, "prompt": [{"role": "user", "content": "<image><image>?"}]}, (LIMIT, "too-many-images")),
]


@pytest.mark.parametrize(("changes", "wanted"), WRONG_ROWS, ids=[f"{i}-{w[1]}" for i, (_, w) in enumerate(WRONG_ROWS)])
def test_a_wrong_row_is_named(tmp_path, problems, changes, wanted):
    rows = [row(number) for number in range(24)]
    rows[3] = row(3, **changes)
    found = problems(parquet(tmp_path / "train.parquet", rows))
    assert wanted in codes(found)
    assert len(found) == 1
    assert "row 3" in found[0].text or wanted[1] == "too-many-images"


@pytest.mark.parametrize("truth", [["left", "right"], 3, 0.5, True])
def test_a_reference_that_is_no_text(tmp_path, problems, truth):
    rows = [row(number, reward_model={"ground_truth": truth}) for number in range(24)]
    found = problems(parquet(tmp_path / "train.parquet", rows, schema=None))
    assert (TRAIN, "reference-not-text") in codes(found)


def test_rows_without_the_question_for_the_judge(tmp_path, problems):
    rows = [row(number) for number in range(24)]
    for one in rows:
        del one["extra_info"]
    found = problems(parquet(tmp_path / "train.parquet", rows, schema=None))
    assert codes(found) == [(TRAIN, "no-question")]


def test_images_that_are_bare_bytes(tmp_path, problems):
    rows = [row(number, images=[PICTURE["bytes"]]) for number in range(24)]
    found = problems(parquet(tmp_path / "train.parquet", rows, schema=None))
    assert codes(found) == [(TRAIN, "image-not-readable")]


def test_a_path_that_leads_nowhere(tmp_path, problems):
    rows = [row(number, images=[str(tmp_path / "gone.png")]) for number in range(24)]
    found = problems(parquet(tmp_path / "train.parquet", rows, schema=None))
    assert codes(found) == [(TRAIN, "image-not-readable")]
    assert "gone.png" in found[0].text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"PAR1 but no more"),
        ("a.parquet", b""),
        ("a.jsonl", b"{broken"),
        ("a.jsonl", b"[1, 2]"),
    ],
)
def test_a_file_that_verl_cannot_read(tmp_path, problems, name, content):
    (tmp_path / name).write_bytes(content)
    assert codes(problems(tmp_path / name)) == [(TRAIN, "unreadable-file")]


def test_a_broken_file_among_many(tmp_path, problems):
    """Of many files the beginning of a few is read, and something of each."""
    files = [parquet(tmp_path / f"train-{number:02}.parquet", [row(number)] * 2) for number in range(20)]
    for number in range(20):
        whole = files[number].read_bytes()
        files[number].write_bytes(b"cut")
        found = codes(problems(files))
        assert found == [(TRAIN, "unreadable-file")], number
        files[number].write_bytes(whole)
    assert problems(files, **{"data.train_batch_size": 4}) == []


def test_no_rows(tmp_path, problems):
    assert codes(problems(parquet(tmp_path / "train.parquet", []))) == [(TRAIN, "no-rows")]


def test_files_of_other_columns(tmp_path, problems):
    first = parquet(tmp_path / "a.parquet", [row(number) for number in range(24)])
    second = parquet(tmp_path / "b.parquet", [row(n, ability=n) for n in range(24)], schema=None)
    found = problems([first, second])
    assert (TRAIN, "files-differ") in codes(found)


def test_one_kind_of_problem_is_one_line(tmp_path, problems):
    rows = [row(number, extra={"question": ""}) for number in range(30)]
    found = problems(parquet(tmp_path / "train.parquet", rows))
    assert codes(found) == [(TRAIN, "no-question")]
    assert "row 0" in found[0].text


def test_an_epoch_without_a_step(tmp_path, problems):
    file = parquet(tmp_path / "train.parquet", [row(number) for number in range(23)])
    (problem,) = problems(file)
    assert (problem.key, problem.code) == ("data.train_batch_size", "no-whole-batch")
    assert "23" in problem.text
    samples = {"data.train_max_samples": 20, "data.train_batch_size": 21}
    assert codes(problems(file, **samples)) == [("data.train_batch_size", "no-whole-batch")]


def test_steps_that_the_epochs_do_not_hold(tmp_path, problems):
    file = parquet(tmp_path / "train.parquet", [row(number) for number in range(50)])
    fits = {"trainer.total_epochs": 3, "trainer.total_training_steps": 6}
    assert problems(file, **fits) == []
    (problem,) = problems(file, **fits | {"trainer.total_training_steps": 7})
    assert (problem.key, problem.code) == ("trainer.total_training_steps", "steps-beyond-epochs")
    assert "total_epochs=4" in problem.text


def test_weights_for_rows_that_are_not_there(tmp_path, problems):
    rows = [row(number, data_source="slake" if number % 2 else "pmc") for number in range(24)]
    file = parquet(tmp_path / "train.parquet", rows)
    weights = {"llm": 1.0}
    given = {"reward.weight_tables": {"source": {"slake": weights, "pvqa": weights}, "modality": {"X_RAY": weights}}}
    (problem,) = problems(file, **given)
    assert (problem.key, problem.code) == ("reward.weight_tables.source.pvqa", "table-without-rows")
    assert "pmc, slake" in problem.text
    given["reward.weight_tables"] = {"source": {}, "modality": {"CT_SCAN": weights}}
    assert codes(problems(file, **given)) == [("reward.weight_tables.modality.CT_SCAN", "table-without-rows")]


@pytest.fixture
def prepared(tmp_path):
    """A folder that `data prepare` wrote, of rows with the given numbers of images of 100x50 pixels."""

    def write(*numbers: int) -> Path:
        file = parquet(tmp_path / "train-00000.parquet", [row(number) for number in range(24)])
        picture = {"sha256": "", "phash": 0, "width": 100, "height": 50, "bytes": 1, "format": "PNG"}
        entries = [
            {"row_id": str(n), "text_tokens": 10, "image_tokens": n, "images": [picture] * n, "shard": file.name}
            for n in numbers
        ]
        entries.append(
            entries[0] | {"images": [picture] * 99, "shard": "validation-00000.parquet", "text_tokens": 9999}
        )
        pq.write_table(pa.Table.from_pylist(entries, schema=SHARD_INDEX_SCHEMA), tmp_path / "index-00000.parquet")
        (tmp_path / "manifest.json").write_text("{}")
        return file

    return write


def test_the_index_tells_of_every_row(prepared, problems):
    file = prepared(1, 1, 3, 1)
    (problem,) = problems(file)
    assert (problem.key, problem.code) == (LIMIT, "too-many-images")
    assert "3 images" in problem.text
    assert file.name in problem.text
    assert problems(file, **{LIMIT: 3}) == []
    assert problems(file, **{LIMIT: {"count": 3}}) == []
    rows = read_all([file])
    assert (rows.longest, rows.pixels) == (13, 6 * 5000 / 4)
    assert read_all([file], low=6000).pixels == 6 * 6000 / 4
    assert read_all([file], high=4000).pixels == 6 * 4000 / 4


def test_an_index_is_not_needed(prepared, problems):
    file = prepared(1)
    (file.parent / "index-00000.parquet").unlink()
    assert problems(file) == []
    assert read_all([file]).pixels is None


def test_rows_are_counted_of_what_can_be_read(tmp_path, config):
    (tmp_path / "a.parquet").write_bytes(b"cut")
    assert batches.of_config(config(tmp_path / "a.parquet")).train_rows is None
