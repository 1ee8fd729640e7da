from pathlib import Path

import pytest
from rich.console import Console

from medix_r1.errors import ConfigError
from medix_r1.skeletons.kinds import Kind
from medix_r1.skeletons.new import make, skeleton
from tests.support.problems import codes


def made(kind: Kind, name: str, folder: Path, *, force: bool = False) -> str:
    console = Console(record=True, width=200)
    make(kind, name, folder, console, force=force)
    return console.export_text()


@pytest.mark.parametrize("kind", Kind)
def test_every_file_is_written_and_nothing_is_left_to_fill_in(kind, tmp_path):
    said = made(kind, "my_thing", tmp_path / "mine")

    files = {
        path.relative_to(tmp_path / "mine").as_posix() for path in (tmp_path / "mine").rglob("*") if path.is_file()
    }
    assert files == set(skeleton(kind, "my_thing")) - {"next.txt"}
    assert "test_my_thing.py" in files
    assert all(f"wrote {tmp_path}/mine/{name}" in said for name in files)
    assert "@" not in "".join(skeleton(kind, "my_thing").values()).replace("@package", "").replace(
        "@estimator", ""
    ).replace("@pytest", "")


def test_nothing_is_overwritten_without_force(tmp_path):
    made(Kind.REWARD, "short", tmp_path)
    (tmp_path / "short.py").write_text("mine", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        made(Kind.REWARD, "short", tmp_path)

    assert codes(caught.value) == [("NAME", "already-there")]
    assert (tmp_path / "short.py").read_text(encoding="utf-8") == "mine"
    made(Kind.REWARD, "short", tmp_path, force=True)
    assert "class Short" in (tmp_path / "short.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (Kind.REWARD, "Two Words", "not-a-name"),
        (Kind.REWARD, "../up", "not-a-name"),
        (Kind.REWARD, "class", "not-a-name"),
        (Kind.REWARD, "", "not-a-name"),
        (Kind.REWARD, "json", "name-taken"),
        (Kind.REWARD, "yaml", "name-taken"),
        (Kind.REWARD, "composite", "name-taken"),
        (Kind.ALGORITHM, "grpo", "name-taken"),
        (Kind.RECIPE, "nano_cpu", "name-taken"),
        (Kind.TASK, "rad_vqa", "name-taken"),
    ],
)
def test_names_that_are_none(kind, name, code, tmp_path):
    with pytest.raises(ConfigError) as caught:
        made(kind, name, tmp_path)

    assert codes(caught.value) == [("NAME", code)]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        made(Kind.RECIPE, "mine", tmp_path / "file")

    assert codes(caught.value) == [("--into", "not-writable")]
