"""Preparing from end to end on small sets: counts, split, shards, rejects, settings."""

import contextlib
import json
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from medix_r1.data.dry_run import dry_run
from medix_r1.data.ending import experiment_of
from medix_r1.data.files import locked, sha256_of
from medix_r1.data.prepare import prepare
from medix_r1.data.prepared import read_index, read_manifest
from medix_r1.data.settings import compose_prepare, read_settings
from medix_r1.errors import ConfigError, DataError
from tests.support.problems import coded, only
from tests.unit.data.support import encoded, picture, prepare_overrides, row, run_prepare, write_rows


def rows_of(folder, split):
    return [row for file in sorted(folder.glob(f"{split}-*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_in_is_out_and_rejected_and_merged(tmp_path, backbone):
    rows = [row(i) for i in range(10)]
    bad = [row(11, answer=""), row(12, tag="lung"), row(13, images=[encoded(picture(13))[:50]])]
    rows += [row(3), row(3), *bad]  # two exact duplicates

    summary = run_prepare(write_rows(tmp_path, rows), tmp_path / "out", backbone, "unit_rows=4")

    assert (summary.rows_in, summary.merged) == (15, 2)
    assert summary.rejected == {"corrupt_image": 1, "empty_answer": 1, "unknown_tag": 1}
    assert summary.adds_up
    written = rows_of(tmp_path / "out", "train") + rows_of(tmp_path / "out", "validation")
    assert len(written) == 10 == summary.train + summary.validation
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert [(r["row"], r["reason"]) for r in rejects] == [
        ("rows.jsonl:13", "empty_answer"),
        ("rows.jsonl:14", "unknown_tag"),
        ("rows.jsonl:15", "corrupt_image"),
    ]
    assert not (tmp_path / "out/.staging").exists()


def test_the_manifest_names_every_shard_and_all_that_decides(tmp_path, backbone):
    path = write_rows(tmp_path, [row(i) for i in range(12)])
    run_prepare(path, tmp_path / "out", backbone, "unit_rows=3", "shard_mebibytes=0.001", "split.validation=0.3")

    manifest = read_manifest(tmp_path / "out")
    files = sorted(p.name for p in (tmp_path / "out").glob("*-*.parquet") if not p.name.startswith("index"))
    assert sorted(entry["file"] for entry in manifest["shards"]) == files
    assert len(files) >= 4
    for entry in manifest["shards"]:
        assert entry["sha256"] == sha256_of(tmp_path / "out" / entry["file"])
        assert entry["rows"] == pq.read_metadata(tmp_path / "out" / entry["file"]).num_rows
    assert manifest["plan"]["source"]["files"] == ["rows.jsonl"]
    assert manifest["plan"]["options"]["split"]["validation"] == 0.3
    for split in ("train", "validation"):
        numbers = [r["extra_info"]["index"] for r in rows_of(tmp_path / "out", split)]
        assert numbers == list(range(len(numbers)))
    index = read_index(tmp_path / "out").to_pylist()
    by_place = {(e["shard"], e["position"]): e["row_id"] for e in index}
    for file in files:
        for position, written in enumerate(pq.read_table(tmp_path / "out" / file).to_pylist()):
            assert by_place[file, position] == written["extra_info"]["row_id"]


def test_no_image_stands_on_both_sides(tmp_path, backbone):
    """Equal bytes, a re-encoded copy, a shared second image, and a text asked twice each stay together."""
    rows = []
    for i in range(30):
        near = encoded(picture(i), "JPEG", quality=60)
        rows += [
            row(i),
            row(i, question="And now?"),
            row(i, images=[near]),
            row(i, images=[near, encoded(picture(i + 100))]),
        ]
        rows += [
            row(i, images=[], tag=None, question=f"Name number {i}."),
            row(i, images=[], tag=None, question=f"name  number {i}", answer="b"),
        ]

    run_prepare(write_rows(tmp_path, rows), tmp_path / "out", backbone, "split.validation=0.4")

    sides = {}
    for entry in read_index(tmp_path / "out").to_pylist():
        number = (int(entry["row_id"].rpartition(":")[2]) - 1) // 6
        sides.setdefault((number, bool(entry["images"])), set()).add(entry["split"])
    assert len(sides) == 60
    assert all(len(side) == 1 for side in sides.values())
    assert {next(iter(side)) for side in sides.values()} == {"train", "validation"}
    assert read_manifest(tmp_path / "out")["groups"] == {"count": 60, "largest": 4}


def test_the_side_of_a_group_does_not_hang_on_the_rest_of_the_set(tmp_path, backbone):
    def held_out(count, name):
        run_prepare(write_rows(tmp_path / name, [row(i) for i in range(count)]), tmp_path / f"{name}_out", backbone,
                    "split.validation=0.3")  # fmt: skip
        entries = read_index(tmp_path / f"{name}_out").to_pylist()
        return {e["images"][0]["sha256"] for e in entries if e["split"] == "validation"}

    small, large = held_out(20, "small"), held_out(40, "large")
    assert small
    assert small < large


def test_strict_stops_at_the_first_bad_row(tmp_path, backbone):
    path = write_rows(tmp_path, [row(1), row(2, answer="")])

    with pytest.raises(DataError, check=coded("row-rejected", "rows.jsonl:2", "empty_answer")):
        run_prepare(path, tmp_path / "out", backbone, strict=True)
    assert not (tmp_path / "out/manifest.json").exists()
    assert run_prepare(path, tmp_path / "out", backbone).rejected == {"empty_answer": 1}


def test_again_does_nothing_and_other_settings_are_refused(tmp_path, backbone):
    path = write_rows(tmp_path, [row(i) for i in range(4)])
    first = run_prepare(path, tmp_path / "out", backbone)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir() if file.suffix == ".parquet"}

    assert run_prepare(path, tmp_path / "out", backbone, "workers=2") == first
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    with pytest.raises(ConfigError, check=only(("out", "prepared-otherwise"))):
        run_prepare(path, tmp_path / "out", backbone, "split.seed=5")
    with path.open("a") as file:
        file.write(json.dumps(row(9, images=[], tag=None)) + "\n")
    with pytest.raises(ConfigError, match=r"source\.revision"):
        run_prepare(path, tmp_path / "out", backbone)


def test_no_name_of_a_file_is_written_when_they_are_hidden(tmp_path, backbone):
    rows = [row(i) for i in range(4)] + [row(5, images=["Doe_gone.png"]), row(6, images=["../Doe.png"])]
    path = write_rows(tmp_path / "Doe_folder", rows, "Doe.jsonl")

    run_prepare(path, tmp_path / "out", backbone, "data.hide_names=true")

    written = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len(written) >= 4
    assert not [file.name for file in written if b"Doe" in file.read_bytes()]
    assert not [value for entry in rows_of(tmp_path / "out", "train") for value in str(entry).split() if "Doe" in value]


def test_one_at_a_time(tmp_path, backbone):
    path = write_rows(tmp_path, [row(1)])
    with locked(tmp_path / "out"), pytest.raises(DataError, check=coded("in-use")):
        run_prepare(path, tmp_path / "out", backbone)


def test_nothing_out_of_something_is_an_error(tmp_path, backbone):
    path = write_rows(tmp_path, [row(1, answer="")] * 3)

    with pytest.raises(DataError, check=coded("no-train-rows", "rejects.jsonl")):
        run_prepare(path, tmp_path / "out", backbone)

    assert not (tmp_path / "out/manifest.json").exists()
    rejects = (tmp_path / "out/rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in rejects] == ["empty_answer"] * 3


def test_too_many_rejected_rows_are_an_error_and_the_work_is_kept(tmp_path, backbone, capsys):
    path = write_rows(tmp_path, [row(1), row(2, answer=""), row(3, tag="lung"), row(4, answer="")])

    with pytest.raises(DataError, check=coded("too-many-rejected", "3 of 4", "data.max_rejected=0.5", "rejects.jsonl")):
        run_prepare(path, tmp_path / "out", backbone, "data.max_rejected=0.5", quiet=False)
    told = capsys.readouterr().out
    assert "empty_answer" in told
    assert "unknown_tag" in told
    assert "rows.jsonl:2" in told
    assert list((tmp_path / "out/.staging").glob("unit-*.json"))
    assert run_prepare(path, tmp_path / "out", backbone, "data.max_rejected=0.8").train == 1


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([row(1, answer="")] * 3, "no-train-rows"),
        ([row(1), row(2, answer=""), row(3, tag="lung")], "too-many-rejected"),
        ([row(1), row(2), row(3, tag="lung")], None),
    ],
)
def test_a_dry_run_ends_as_the_run_would(tmp_path, backbone, rows, code):
    overrides = prepare_overrides(write_rows(tmp_path, rows), tmp_path / "out", backbone)
    with pytest.raises(DataError, check=coded(code)) if code else contextlib.nullcontext():
        dry_run([*overrides, "data.max_rejected=0.5"], Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_when_all_rows_share_a_picture_it_is_said(tmp_path, backbone):
    rows = [row(1, question=f"What is number {i}?") for i in range(5)]

    with pytest.raises(DataError, check=coded("no-train-rows", "all 5 rows share pictures", "split.validation")):
        run_prepare(write_rows(tmp_path, rows), tmp_path / "out", backbone, "split.validation=0.99")
    assert run_prepare(tmp_path / "rows.jsonl", tmp_path / "new", backbone, "split.validation=0").train == 5


def test_a_changed_source_is_said_and_rebuilt_with_force(tmp_path, backbone):
    path = write_rows(tmp_path, [row(i) for i in range(4)])
    run_prepare(path, tmp_path / "out", backbone, "split.validation=0")
    (tmp_path / "out/notes.txt").write_text("mine")
    write_rows(tmp_path, [row(i) for i in range(6)])

    with pytest.raises(ConfigError, match=r"source\.revision.*→.*--force"):
        run_prepare(path, tmp_path / "out", backbone, "split.validation=0")
    assert run_prepare(path, tmp_path / "out", backbone, "split.validation=0", force=True).train == 6
    assert len(rows_of(tmp_path / "out", "train")) == 6
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


def test_it_ends_with_the_command_that_trains(tmp_path, backbone, capsys):
    path = write_rows(tmp_path, [row(i) for i in range(4)])

    run_prepare(path, tmp_path / "out", backbone, quiet=False)

    told = " ".join(capsys.readouterr().out.split())
    assert "medix-r1 train" in told
    assert "data=prepared data.folder=" in told
    assert "data.train_batch_size=4 actor_rollout_ref.actor.ppo_mini_batch_size=4" in told
    assert experiment_of("Qwen/Qwen3-VL-8B-Instruct").startswith("medix_r1_8b")
    assert experiment_of("outputs/demo/models/policy") == "nano_cpu"


def test_an_old_folder_is_complete_whatever_keys_are_new(tmp_path, backbone):
    path = write_rows(tmp_path, [row(i) for i in range(4)])
    first = run_prepare(path, tmp_path / "out", backbone)
    manifest = read_manifest(tmp_path / "out")
    del manifest["plan"]["options"]["data"]["turns"]
    manifest["plan"]["hash"] = "0" * 16
    (tmp_path / "out/manifest.json").write_text(json.dumps(manifest))

    assert run_prepare(path, tmp_path / "out", backbone) == first


def test_a_full_disk_leaves_nothing_half_done(tmp_path, backbone, monkeypatch):
    path = write_rows(tmp_path, [row(i) for i in range(6)])
    calls = []

    def full(number):
        calls.append(number)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(DataError, check=coded("not-written", "No space left")):
            run_prepare(path, tmp_path / "out", backbone, "unit_rows=2")
    assert not list((tmp_path / "out").rglob("*.part"))
    assert run_prepare(path, tmp_path / "out", backbone, "unit_rows=2").train + 0 >= 5


@pytest.mark.parametrize(
    ("overrides", "wrong", "names"),
    [
        (["data=jsnl"], [("data=jsnl", "no-such-file")], "jsonl?"),
        (["data=jsonl"], [("data.path", "no-value")], "data.path="),
        (["data=jsonl", "overlng=shrink"], [("overlng", "no-such-key")], "overlong"),
        (["data=5", "split=[]", "image=3", "overlng=shrink", "workers='2'"],
         [("data=5", "no-such-file"), ("split", "not-a-mapping"), ("overlng", "no-such-key"),
          ("image", "not-a-mapping")], "jsonl"),
        (["data=jsonl", "overlong=cut", "split.validation=1.5", "image.frames=last", "image.max_megapixels=1000"],
         [("overlong", "not-a-choice"), ("image.frames", "not-a-choice"), ("split.validation", "out-of-range"),
          ("image.max_megapixels", "out-of-range")], "'cut'"),
        (["data=csv", "data.encoding=cp1259", "data.delimiter=ab", "data.turns=all", "+data.tags.CT=CTSCAN",
          "data.max_rejected=2"],
         [("data.max_rejected", "out-of-range"), ("data.turns", "not-a-choice"), ("data.encoding", "not-a-choice"),
          ("data.delimiter", "not-a-choice"), ("data.tags.CT", "not-a-choice")], "CTSCAN"),
        (["image.min_pixels=9", "image.max_pixels=4", "split.near_distance=9", "image.percentiles=[9]"],
         [("split.near_distance", "out-of-range"), ("image.min_pixels", "min-above-max"),
          ("image.percentiles", "not-two-numbers")], "9"),
    ],
)  # fmt: skip
def test_wrong_settings_are_told_together(overrides, wrong, names, tmp_path):
    with pytest.raises(ConfigError, check=only(*wrong)) as caught:
        prepare([*overrides, f"out={tmp_path}"], Console(quiet=True))

    assert names in str(caught.value)


@pytest.mark.parametrize("kind", ["medix_rl", "folder", "jsonl", "csv", "parquet"])
def test_every_kind_composes_and_names_its_folder(kind):
    tree = compose_prepare([f"data={kind}"])

    assert tree["out"] == f"data/{kind}"
    assert set(tree["data"]["columns"]) >= {"question", "answer", "images", "source"}


def test_mappings_of_a_users_own_keys_are_given_as_they_are_written():
    tree = compose_prepare(["data=slake", "data.tags={CT: CT_SCAN, MR T1: MRI_SCAN}", "data.tags.XR=X_RAY"])
    assert tree["data"]["tags"] == {"CT": "CT_SCAN", "MR T1": "MRI_SCAN", "XR": "X_RAY"}
    assert tree["data"]["where"] == {"q_lang": "en"}
    assert compose_prepare(["data=slake", "data.where={q_lang: zh}"])["data"]["where"] == {"q_lang": "zh"}
    assert compose_prepare(["data=slake", "data.where=null"])["data"]["where"] is None
    assert compose_prepare(["data=jsonl", "data.where={fold: 1}"])["data"]["where"] == {"fold": 1}


def test_words_that_no_key_can_be_are_given_a_tag_by_lists(tmp_path):
    path = write_rows(tmp_path, [row(1)])
    own = "data.tags={CT_SCAN: ['CT (with contrast)', '超声'], sono: ULTRASOUND, 5: OTHER}"

    settings = read_settings(["data=jsonl", f"data.path={path}", own])
    assert settings.rules.tags == {
        "CT (with contrast)": "CT_SCAN",
        "超声": "CT_SCAN",
        "sono": "ULTRASOUND",
        "5": "OTHER",
    }


def test_training_reads_what_is_prepared(tmp_path):
    from medix_r1.schema.prepared_folders import prepared_shards

    for name in ("train-00001", "train-00000", "validation-00000", "index-00000"):
        (tmp_path / f"{name}.parquet").touch()

    shards = list(prepared_shards(str(tmp_path), "train"))
    assert [path.rpartition("/")[2] for path in shards] == ["train-00000.parquet", "train-00001.parquet"]
    assert all(a < b for a, b in pairwise(shards))
    assert list(prepared_shards(str(tmp_path / "no"), "train")) == [f"{tmp_path}/no/train-00000.parquet"]
