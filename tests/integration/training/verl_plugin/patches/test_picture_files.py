"""Rows leave verl's data set with the files of their pictures alone, and open as what verl made of them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from omegaconf import OmegaConf
from PIL import Image
from verl.utils import hf_processor, hf_tokenizer
from verl.utils.dataset.rl_dataset import RLHFDataset

from medix_r1.training.verl_plugin.patches import picture_files
from medix_r1.training.verl_plugin.patches.shared_images import without_pictures

SIDE = 256


def file(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels // 32).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def dataset(nano_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    picture_files.install()
    folder = tmp_path_factory.mktemp("rows")
    rows = [
        {"prompt": [{"role": "user", "content": text}], "images": images, "data_source": "made"}
        for text, images in [
            ("<image>Which organ?", [{"bytes": file(0)}]),
            ("<image>and<image>What changed?", [{"bytes": file(1)}, {"bytes": file(2)}]),
            ("What is an effusion?", []),
        ]
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "rows.parquet")
    settings = OmegaConf.create({"cache_dir": str(folder), "image_key": "images", "filter_overlong_prompts": False})
    tokenizer = hf_tokenizer(str(nano_policy), trust_remote_code=False)
    processor = hf_processor(str(nano_policy), trust_remote_code=False)
    return RLHFDataset(str(folder / "rows.parquet"), tokenizer, settings, processor)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_row_is_as_large_as_its_files_and_opens_as_verls(dataset: Any, number: int) -> None:
    row = dataset[number]
    original = RLHFDataset.__getitem__.__wrapped__(dataset, number)
    parts = [part for message in original["raw_prompt"] for part in message["content"] if isinstance(part, dict)]
    files = sum(len(part.get("bytes", b"")) for part in parts)

    assert len(pickle.dumps(row)) < files + 4000
    assert "prompt" not in row
    again = picture_files.opened(row["raw_prompt"])
    assert [message["role"] for message in again] == ["user"]
    found = [part for message in again for part in message["content"] if isinstance(part, dict)]
    assert [part["type"] for part in found] == [part["type"] for part in parts]
    for one, other in zip(found, parts, strict=True):
        if one["type"] == "image":
            assert np.array_equal(np.asarray(one["image"]), np.asarray(other["image"]))


def test_a_stored_chat_says_only_that_there_was_a_picture(dataset: Any) -> None:
    stored = without_pictures(dataset[1]["raw_prompt"])
    assert [part["type"] for part in stored[0]["content"]] == ["image", "text", "image", "text"]
    assert len(pickle.dumps(stored)) < 500
    assert without_pictures(dataset[2]["raw_prompt"]) == dataset[2]["raw_prompt"]
