from pathlib import Path

import pytest

from medix_r1.demo.stamps import hash_files, is_current, replacing


def _build(out: Path, text: str, inputs: str) -> None:
    with replacing(out, "data", inputs, ["data"]) as temporary:
        (temporary / "data").mkdir()
        (temporary / "data" / "rows").write_text(text)


def test_a_built_part_is_current_for_its_inputs_only(tmp_path: Path) -> None:
    assert not is_current(tmp_path, "data", "a")
    _build(tmp_path, "first", "a")
    assert is_current(tmp_path, "data", "a")
    assert not is_current(tmp_path, "data", "b")


def test_a_new_build_replaces_the_old_folder(tmp_path: Path) -> None:
    _build(tmp_path, "first", "a")
    (tmp_path / "data" / "stale").write_text("")
    _build(tmp_path, "second", "b")
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["rows"]
    assert (tmp_path / "data" / "rows").read_text() == "second"


def test_a_failed_build_keeps_the_old_folder_and_its_stamp(tmp_path: Path) -> None:
    _build(tmp_path, "first", "a")
    with pytest.raises(FileExistsError), replacing(tmp_path, "data", "b", ["data"]) as temporary:
        temporary.mkdir()  # it exists: the block fails
    assert (tmp_path / "data" / "rows").read_text() == "first"
    assert is_current(tmp_path, "data", "a")
    assert not list(tmp_path.glob(".building-*"))


def test_the_remains_of_a_killed_build_are_cleared(tmp_path: Path) -> None:
    (tmp_path / ".building-data" / "data").mkdir(parents=True)
    (tmp_path / ".building-data" / "data" / "half").write_text("")
    _build(tmp_path, "first", "a")
    assert not (tmp_path / "data" / "half").exists()


def test_the_hash_sees_names_contents_and_words(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("x")
    b.write_text("x")
    hashes = {hash_files([a]), hash_files([b]), hash_files([a], "trained"), hash_files([a, tmp_path / "missing"])}
    assert len(hashes) == 4
    before = hash_files([a])
    a.write_text("y")
    assert hash_files([a]) != before
