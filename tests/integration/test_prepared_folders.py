"""Folders that `data prepare` wrote, as `data=prepared` names them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from medix_r1.config import compose_train
from medix_r1.errors import ConfigError
from medix_r1.schema.prepared_folders import prepared_shards, prompt_tokens_of
from tests.support.problems import only


def make(folder: Path, train: int, tokens: int = 300) -> str:
    folder.mkdir()
    for name in ("train-00000", "validation-00000", "index-00000"):
        (folder / f"{name}.parquet").touch()
    plan = {"options": {"max_prompt_tokens": tokens}}
    (folder / "manifest.json").write_text(json.dumps({"plan": plan, "counts": {"train": train}}))
    return str(folder)


def names(shards):
    return [Path(path).parent.name for path in shards]


def test_one_folder_and_several(tmp_path):
    a, b = make(tmp_path / "a", 10), make(tmp_path / "b", 10, tokens=500)

    config = compose_train(["data=prepared", f"data.folder={a}"])
    assert list(config.data.train_files) == [f"{a}/train-00000.parquet"]
    assert list(config.data.val_files) == [f"{a}/validation-00000.parquet"]
    assert config.data.max_prompt_length == 300

    config = compose_train(["experiment=nano_cpu", "data=prepared", f"data.folder=[{a},{b}]"])
    assert names(config.data.train_files) == ["a", "b"]
    assert config.data.max_prompt_length == 500


@pytest.mark.parametrize(
    ("rows", "shares", "times"),
    [((100, 100), (0.5, 0.5), (1, 1)), ((100, 100), (0.75, 0.25), (3, 1)), ((1000, 100), (0.5, 0.5), (1, 10)),
     ((50_000, 10_000), (0.6, 0.4), (2, 7))],
)  # fmt: skip
def test_shares_are_repetitions(rows, shares, times, tmp_path):
    folders = [make(tmp_path / name, count) for name, count in zip("ab", rows, strict=True)]

    config = compose_train(["data=prepared", f"data.folder={{{folders[0]}: {shares[0]}, {folders[1]}: {shares[1]}}}"])

    counts = Counter(names(config.data.train_files))
    epoch = sum(counts[name] * count for name, count in zip("ab", rows, strict=True))
    for name, count, share in zip("ab", rows, shares, strict=True):
        assert abs(counts[name] * count / epoch - share) <= 0.03
    assert (counts["a"], counts["b"]) == times
    assert names(config.data.val_files) == ["a", "b"]


def test_shares_that_cannot_be_had_are_refused(tmp_path):
    a, b = make(tmp_path / "a", 10), make(tmp_path / "b", 100_000)

    for shares, code in (
        (f"{{{a}: 0.9, {b}: 0.1}}", "wrong-share"),
        (f"{{{a}: 0, {b}: 1}}", "wrong-share"),
        (f"{{{a}: 0.5, {tmp_path}/none: 0.5}}", "not-prepared"),
    ):
        with pytest.raises(ConfigError, check=only(("data.folder", code))):
            compose_train(["data=prepared", f"data.folder={shares}"])


def test_a_folder_is_understood_where_files_are_meant(tmp_path):
    a = make(tmp_path / "a", 10)

    config = compose_train(["data=medix_rl", f"data.train_files={a}", f"data.val_files=[{a}]"])

    assert list(config.data.train_files) == [f"{a}/train-00000.parquet"]
    assert list(config.data.val_files) == [f"{a}/validation-00000.parquet"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "folder"])
def test_a_kind_of_preparation_is_answered_with_what_trains(kind):
    with pytest.raises(ConfigError, check=only((f"data={kind}", "not-prepared"))) as caught:
        compose_train([f"data={kind}", "data.path=rows.jsonl"])
    assert "data=prepared" in str(caught.value)


def test_a_folder_without_a_manifest_has_the_usual_limit(tmp_path):
    assert prompt_tokens_of(str(tmp_path)) == 4352
    assert names(prepared_shards(str(tmp_path / "no"), "train")) == ["no"]
