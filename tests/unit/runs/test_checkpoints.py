import json
import shutil
import zipfile

import pytest

from medix_r1.errors import CheckpointError
from medix_r1.runs import checkpoints
from medix_r1.runs.checkpoints import MANIFEST
from tests.support.problems import coded


def save(root, step, *, sealed=True):
    folder = root / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "actor" / "model.pt").write_bytes(b"w" * 100)
    (folder / "data.pt").write_bytes(b"d" * 10)
    if sealed:
        checkpoints.seal(folder)
    return folder


def test_a_sealed_checkpoint_is_whole(tmp_path):
    folder = save(tmp_path, 5)

    assert checkpoints.is_whole(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    assert (manifest["step"], manifest["files"]) == (5, {"actor/model.pt": 100, "data.pt": 10})
    assert manifest["fingerprints"].keys() == manifest["files"].keys()
    assert not list(folder.glob("*.tmp"))


def test_sealing_again_after_a_change(tmp_path):
    folder = save(tmp_path, 5)
    (folder / "data.pt").write_bytes(b"longer than it was")
    assert not checkpoints.is_whole(folder)

    checkpoints.seal(folder)

    assert checkpoints.is_whole(folder)
    assert MANIFEST not in json.loads((folder / MANIFEST).read_text())["files"]


def truncate(folder):
    (folder / "actor" / "model.pt").write_bytes(b"w" * 99)


def drop(folder):
    (folder / "data.pt").unlink()


def replace_by_folder(folder):
    (folder / "data.pt").unlink()
    (folder / "data.pt").mkdir()


def tear_manifest(folder):
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text[: len(text) // 2])


def drop_manifest(folder):
    (folder / MANIFEST).unlink()


def empty_manifest(folder):
    (folder / MANIFEST).write_text("")


@pytest.mark.parametrize("harm", [truncate, drop, replace_by_folder, tear_manifest, drop_manifest, empty_manifest])
def test_a_harmed_checkpoint_is_not_whole(tmp_path, harm):
    folder = save(tmp_path, 5)
    harm(folder)

    assert not checkpoints.is_whole(folder)


def test_files_beside_those_of_the_manifest_do_no_harm(tmp_path):
    folder = save(tmp_path, 5)
    (folder / "note.txt").write_text("mine")

    assert checkpoints.is_whole(folder)


def test_the_latest_is_the_newest_whole_one_by_number(tmp_path):
    save(tmp_path, 9)
    whole = save(tmp_path, 10)
    save(tmp_path, 100, sealed=False)
    truncate(save(tmp_path, 50))
    (tmp_path / "global_step_200_old").mkdir()
    (tmp_path / "global_step_300").write_text("a file")
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("100")

    assert checkpoints.latest(tmp_path) == whole
    assert [folder.name for folder in checkpoints.all_folders(tmp_path)] == [
        f"global_step_{step}" for step in (9, 10, 50, 100)
    ]


def test_without_any(tmp_path):
    assert checkpoints.latest(tmp_path) is None
    assert checkpoints.latest(tmp_path / "not there") is None
    assert checkpoints.remove_torn(tmp_path / "not there") == []


def test_remove_torn_takes_leftovers_and_nothing_else(tmp_path):
    whole, torn = save(tmp_path, 1), save(tmp_path, 2, sealed=False)
    other = tmp_path / "samples"
    other.mkdir()

    assert checkpoints.remove_torn(tmp_path) == [torn]

    assert sorted(tmp_path.iterdir()) == [whole, other]


@pytest.mark.parametrize(
    ("keep", "left"), [(None, [5, 10, 100]), (3, [5, 10, 100]), (2, [10, 100]), (1, [100]), (9, [5, 10, 100])]
)
def test_prune_keeps_the_newest(tmp_path, keep, left):
    for step in (100, 5, 10):
        save(tmp_path, step)

    checkpoints.prune(tmp_path, keep)

    assert [checkpoints.step_of(folder) for folder in checkpoints.all_folders(tmp_path)] == left


def test_prune_neither_counts_nor_touches_torn_ones(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    torn = save(tmp_path, 3, sealed=False)

    checkpoints.prune(tmp_path, 1)

    assert [folder.name for folder in checkpoints.all_folders(tmp_path)] == ["global_step_2", torn.name]


def test_prune_takes_the_manifest_first(tmp_path, monkeypatch):
    """After a kill in the middle of a deletion, the rest of the folder must not look complete."""
    old = save(tmp_path, 1)
    save(tmp_path, 2)

    def killed(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.prune(tmp_path, 1)

    assert (old / "data.pt").exists()
    assert not checkpoints.is_whole(old)


@pytest.mark.parametrize("name", ["global_step_", "global_step_x", "step_5", "global_step_5.tmp"])
def test_a_folder_of_another_name(tmp_path, name):
    with pytest.raises(CheckpointError, check=coded("not-a-checkpoint")):
        checkpoints.step_of(tmp_path / name)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"files": 3}', '{"files": ["a"]}', '{"files": {"gone": 1}}'])
def test_a_manifest_that_is_not_ours_makes_nothing_whole(tmp_path, manifest):
    folder = tmp_path / "global_step_1"
    folder.mkdir()
    (folder / checkpoints.MANIFEST).write_text(manifest)
    assert not checkpoints.is_whole(folder)


def whole(root, step):
    folder = root / f"global_step_{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("w")
    checkpoints.seal(folder)
    return folder


def test_the_best_is_kept_besides_the_newest(tmp_path):
    first, *others = [whole(tmp_path, step) for step in (5, 10, 15, 20)]
    assert checkpoints.offer_as_best(first, "heldout", 0.5)
    assert not checkpoints.offer_as_best(others[0], "heldout", 0.4)
    checkpoints.prune(tmp_path, keep=1)
    assert checkpoints.all_folders(tmp_path) == [first, others[-1]]
    assert checkpoints.best(tmp_path) == first


def test_a_better_one_takes_its_place_and_a_torn_one_does_not(tmp_path):
    first, second = whole(tmp_path, 5), whole(tmp_path, 10)
    torn = tmp_path / "global_step_15"
    torn.mkdir()
    assert checkpoints.offer_as_best(first, "heldout", 0.5)
    assert not checkpoints.offer_as_best(torn, "heldout", 0.9)
    assert checkpoints.offer_as_best(second, "heldout", 0.6)
    assert checkpoints.best(tmp_path) == second


def test_a_best_that_has_gone_is_forgotten(tmp_path):
    first, second = whole(tmp_path, 5), whole(tmp_path, 10)
    checkpoints.offer_as_best(first, "heldout", 0.9)
    (first / "weights").unlink()
    assert checkpoints.best(tmp_path) is None
    assert checkpoints.offer_as_best(second, "heldout", 0.1)
    (tmp_path / checkpoints.BEST).write_text("{")
    assert checkpoints.best(tmp_path) is None


def archive(path, content):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data/0", content)


def test_a_file_of_another_save_is_found_by_its_fingerprint(tmp_path):
    folder, other = save(tmp_path, 5, sealed=False), save(tmp_path, 10, sealed=False)
    for step, content in ((folder, b"five"), (other, b"ten!")):
        archive(step / "actor" / "shard.pt", content)
        checkpoints.seal(step)
    assert checkpoints.changed_files(folder) == []

    shutil.copy(other / "actor" / "shard.pt", folder / "actor" / "shard.pt")
    assert checkpoints.is_whole(folder)  # the sizes are the same
    assert checkpoints.changed_files(folder) == ["actor/shard.pt"]


def test_a_manifest_without_fingerprints_is_believed(tmp_path):
    folder = save(tmp_path, 5)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["fingerprints"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert checkpoints.changed_files(folder) == []


@pytest.mark.parametrize("record", ["[]", '{"step": "../5"}', '{"step": 5}', "[" * 100_000])
def test_a_strange_record_of_the_best_checkpoint_names_none(tmp_path, record):
    save(tmp_path, 5)
    (tmp_path / checkpoints.BEST).write_text(record)
    assert checkpoints.best(tmp_path) is None
