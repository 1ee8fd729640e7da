"""Prompts of other people's files, measured before verl stops at one."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.shards import SHARD_INDEX_SCHEMA
from medix_r1.training.preflight.rows.prompt_lengths import prompt_length_problems
from tests.support.configs import set_in
from tests.support.problems import codes, numbers
from tests.unit.data.support import make_backbone
from tests.unit.training.preflight.rows.test_data_rows import PICTURE, parquet, row

LIMIT = "data.max_prompt_length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One token a byte; 32x32 pixels are a token, and images have up to 65,536 pixels, so 64 tokens."""
    return make_backbone(tmp_path_factory.mktemp("model"))


@pytest.fixture
def problems(folder, tmp_path):
    def of(rows, **values):
        files = {"data.train_files": str(parquet(tmp_path / "train.parquet", rows)), "data.val_files": None}
        given = {"actor_rollout_ref.model.path": str(folder), LIMIT: 4000, **files, **values}
        return list(prompt_length_problems(set_in("experiment=nano_cpu", **given)))

    return of


def picture(width: int, height: int, **limits) -> dict:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return PICTURE | {"bytes": buffer.getvalue()} | limits


def test_short_prompts(problems):
    assert problems([row(number) for number in range(24)]) == []


def test_a_long_text_is_measured(problems):
    rows = [row(0), row(1, prompt=[{"role": "user", "content": "<image>" + "x" * 4000}])]
    (problem,) = problems(rows)
    assert (problem.key, problem.code) == (LIMIT, "prompt-too-long")
    assert "row 1" in problem.text
    assert problems(rows, **{"data.filter_overlong_prompts": True}) == []
    assert problems(rows, **{LIMIT: 4100}) == []


@pytest.mark.parametrize(
    ("given", "values", "tokens"),
    [
        (picture(256, 256), {}, 64),
        (picture(512, 512), {}, 64),
        (picture(512, 512), {"data.mm_processor_kwargs": {"max_pixels": 262144}}, 256),
        (picture(512, 512, max_pixels=16384), {}, 16),
        (picture(32, 32), {"data.mm_processor_kwargs": {"min_pixels": 65536}}, 64),
    ],
)
def test_images_are_scaled_as_the_loader_and_the_processor_do(problems, given, values, tokens):
    (problem,) = problems([row(0, images=[given])], **{LIMIT: 5, **values})
    total, text = numbers(problem.text.partition("less than the ")[2])[0], len("Which side?")
    assert f"({int(total) - tokens} of text, {tokens} of images" in problem.text
    assert int(total) - tokens > text


def test_an_image_that_no_loader_takes(problems):
    found = problems([row(0, images=[picture(4100, 20)])])
    assert codes(found) == [("data.train_files", "image-not-readable")]
    assert "200 to 1" in found[0].text


@pytest.fixture
def prepared(folder, tmp_path):
    """A folder prepared for another backbone, whose template makes each prompt `less` tokens shorter than ours."""

    def write(less: int, *, backbone="some/other", longest=100) -> None:
        text = PromptCounter(folder).text_tokens("<image>Which side?", 1)
        rows = [
            {"shard": "train-00000.parquet", "position": number, "text_tokens": text - less, "image_tokens": 1}
            for number in range(3)
        ]
        rows[2]["image_tokens"] = longest - (text - less)
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_INDEX_SCHEMA), tmp_path / "index-00000.parquet")
        parquet(tmp_path / "train-00000.parquet", [row(number) for number in range(3)])
        (tmp_path / "manifest.json").write_text(json.dumps({"plan": {"backbone": {"name": backbone}}}))

    return write


def test_a_longer_template_than_the_one_that_counted(prepared, problems, folder, tmp_path):
    """That of a Thinking model ends with <think>; rows that were shrunk to the limit are then too long."""
    file = {"data.train_files": str(tmp_path / "train-00000.parquet"), LIMIT: 101}
    prepared(2)
    (problem,) = problems([row(0)], **file)
    assert (problem.key, problem.code) == ("data.train_files", "prepared-for-another-backbone")
    assert "2 tokens longer" in problem.text
    assert "102" in problem.text
    assert problems([row(0)], **file | {LIMIT: 102}) == []
    for harmless in ({"less": 1}, {"less": 0}, {"less": 2, "backbone": str(folder)}, {"less": 2, "longest": 99}):
        prepared(**harmless)
        assert problems([row(0)], **file) == [], harmless


def test_what_others_report_is_left_to_them(problems, folder, tmp_path):
    assert problems([row(0)], **{"data.train_files": str(tmp_path / "gone.parquet")}) == []
    assert problems([row(0)], **{"actor_rollout_ref.model.path": "some/body"}) == []
    assert problems([row(0, images=[PICTURE | {"bytes": b"no"}])]) == []
    assert problems([row(0, prompt=[])]) == []
    (tmp_path / "manifest.json").write_text("{}")
    assert problems([row(0, prompt=[{"role": "user", "content": "x" * 9999}], images=[])]) == [], "prepared"
