"""The demo as `medix-r1 demo build` leaves it, from the shipped weights. Nothing is trained here."""

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor, AutoTokenizer

from medix_r1.demo.batches import EncodedRows, read_rows
from medix_r1.demo.build import build
from medix_r1.demo.replies import load_policy
from medix_r1.demo.rows import labels as label_file
from medix_r1.demo.shipped import WEIGHTS, Model, shipped_folder, unpack
from medix_r1.errors import CheckpointError, DataError
from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.wording.spelling import normalize_answer
from tests.support.problems import coded

PARTS = ("train", "heldout_views", "heldout_sources")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    build(out, only=("data", "policy"))
    return out


@pytest.fixture(scope="module")
def rows(demo: Path) -> dict[str, list[dict[str, Any]]]:
    return {part: read_rows(demo / "data" / f"{part}.parquet") for part in PARTS}


def test_rows_have_the_schema_verl_reads(rows: dict[str, list[dict[str, Any]]]) -> None:
    for part in PARTS:
        for index, row in enumerate(rows[part]):
            info = row["extra_info"]
            assert set(row) == {
                "data_source", "prompt", "images", "ability", "reward_model", "extra_info",
            }  # fmt: skip
            assert row["prompt"] == [{"role": "user", "content": "<image>" + info["question"]}]
            assert row["images"][0]["path"] is None
            assert (info["split"], info["index"], info["row_id"]) == (part, index, f"nano/{part}/{index:05d}")
            reference = parse_reference(row["reward_model"]["ground_truth"])
            assert (reference.modality, reference.answer) == (info["modality"], info["answers"][0])


def test_sizes_and_separation_of_the_parts(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert 700 <= len(rows["train"]) <= 800
    assert len(rows["heldout_views"]) == 80
    sources = {part: {row["extra_info"]["source"] for row in rows[part]} for part in PARTS}
    assert sources["heldout_views"] <= sources["train"]
    assert not sources["heldout_sources"] & sources["train"]
    pictures = {part: {row["images"][0]["bytes"] for row in rows[part]} for part in PARTS}
    assert not pictures["heldout_views"] & pictures["train"]


def test_pictures_are_96_by_96(rows: dict[str, list[dict[str, Any]]]) -> None:
    for row in rows["train"][:20]:
        assert Image.open(io.BytesIO(row["images"][0]["bytes"])).size == (96, 96)


def test_jsonl_holds_the_same_rows_without_pictures(demo: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    for part in PARTS:
        lines = (demo / "data" / f"{part}.jsonl").read_text().splitlines()
        assert [json.loads(line)["extra_info"]["row_id"] for line in lines] == [
            row["extra_info"]["row_id"] for row in rows[part]
        ]


def test_prompts_are_short_and_format_marks_are_plain_text(demo: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    processor = AutoProcessor.from_pretrained(demo / "models" / "policy")
    by_question = {row["extra_info"]["question"]: row for row in rows["train"]}
    assert max(map(len, EncodedRows(list(by_question.values()), processor).prompts)) <= 48
    tokenizer = AutoTokenizer.from_pretrained(demo / "models" / "policy")
    labels = label_file.load()
    for tag, names in labels.question_types["modality"].facts.items():
        thoughts = [sentence.format(modality=name) for sentence in labels.think for name in names]
        answers = {
            a for row in rows["train"] if row["extra_info"]["modality"] == tag for a in row["extra_info"]["answers"]
        }
        for think in thoughts:
            for answer in sorted(answers):
                reply = f"<{tag}><think>{think}</think><answer>{answer}</answer>"
                ids = tokenizer(reply).input_ids
                assert len(ids) + 1 <= 40
                assert tokenizer.decode(ids, skip_special_tokens=True) == reply


def test_the_policy_answers_in_the_format(demo: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    folder = demo / "models" / "policy"
    model, processor = load_policy(folder), AutoProcessor.from_pretrained(folder)
    assert model.config.text_config.vocab_size == len(processor.tokenizer)
    assert model.dtype == torch.float32
    encoded = EncodedRows(rows["heldout_views"][:8], processor)
    inputs = encoded.for_generation(range(8), range(8))
    assert model(**inputs).logits.shape[-1] == len(processor.tokenizer)
    output = model.generate(**inputs, max_new_tokens=40, do_sample=False, temperature=None, top_k=None, top_p=None)
    replies = processor.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    parsed = [parse_completion(reply) for reply in replies]
    assert sum(p.well_formed for p in parsed) >= 6
    assert all(p.answer is None or normalize_answer(p.answer) for p in parsed)


def test_a_second_build_touches_nothing(demo: Path) -> None:
    files = [p for p in demo.rglob("*") if p.is_file()]
    before = {p: p.stat().st_mtime_ns for p in files}
    build(demo, only=("data", "policy"))
    assert {p: p.stat().st_mtime_ns for p in demo.rglob("*") if p.is_file()} == before


def test_an_interrupted_build_leaves_the_old_folder(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = demo / "models" / "policy" / "model.safetensors"
    before = hashlib.sha256(weights.read_bytes()).hexdigest()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medix_r1.demo.shipped.unpack", interrupted)
    monkeypatch.setattr("medix_r1.demo.build.is_current", lambda *_: False)
    with pytest.raises(KeyboardInterrupt):
        build(demo, only=("policy",))
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == before
    assert not list(demo.glob(".building-*"))


@pytest.mark.parametrize("model", ["policy", "judge"])
def test_unpacked_weights_are_the_shipped_ones(model: Model, tmp_path: Path) -> None:
    unpack(shipped_folder(model), tmp_path / "model")
    small, large = load_file(shipped_folder(model) / WEIGHTS), load_file(tmp_path / "model" / WEIGHTS)
    assert small.keys() == large.keys()
    assert all(
        value.dtype == torch.float32 and torch.equal(value, small[name].float()) for name, value in large.items()
    )


def test_damaged_files_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    source = tmp_path / "policy"
    shutil.copytree(shipped_folder("policy"), source)
    content = bytearray((source / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (source / WEIGHTS).write_bytes(content)
    (source / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, check=coded("damaged", "model.safetensors, tokenizer.json ")):
        unpack(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_checksums_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, check=coded("no-such-file", "SHA256SUMS")):
        unpack(tmp_path, tmp_path / "out")


def test_a_missing_image_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    from medix_r1.demo.rows import source_pictures

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(source_pictures, "distribution", missing)
    labels = label_file.load()
    with pytest.raises(DataError, check=coded("package-not-installed", "pydicom-data==1.0.0")):
        source_pictures.locate(labels.sources[0], labels)
