from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from medix_r1.errors import DataError
from medix_r1.host.files import atomic_file, atomic_write
from medix_r1.host.yaml_text import parse_yaml, read_yaml
from tests.support.problems import coded


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "records.jsonl"
    atomic_write(path, "old\n")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, check=coded("not-written", str(path), "No space")):
        atomic_write(path, "new\n")
    assert [entry.name for entry in path.parent.iterdir()] == ["records.jsonl"]
    assert path.read_text() == "old\n"


def test_ctrl_c_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def stopped() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"


def test_a_folder_in_the_way_is_an_error_for_users(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, check=coded("not-written")):
        atomic_write(tmp_path / "file" / "a", "text")


def test_a_lone_surrogate_is_written_as_json_writes_it(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a.json", json.dumps({"text": "\ud800ü"}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"text": "\ud800ü"}


@pytest.mark.parametrize(
    "text", ["a: [1, 2.5, yes, null, 2026-11-30]\n", "&x {k: 1}\n", "", "- |\n  text\n", "a: 1e3\nb: 0x1f\nc: ü\n"]
)
def test_the_parser_in_c_gives_what_the_one_in_python_gives(text: str, tmp_path: Path) -> None:
    assert parse_yaml(text) == yaml.safe_load(text)
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert read_yaml(tmp_path / "a.yaml") == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "!!python/object:os.system {}", "\t- a"])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)
