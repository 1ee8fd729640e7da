"""The output of `reward score`: which rows are done, which are scored again, and other people's files."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from medix_r1.errors import ConfigError, DataError
from medix_r1.scoring.output import Output, read_output
from tests.support.problems import coded, numbers, only

SETTINGS = {"weights.llm": 0.5, "signals.embed.threshold": 0.8}


def line(content: int, overall: float | None = 1.0, failure: str | None = None) -> dict:
    return {"content": f"{content:016x}", "line": 1, "overall": overall, "failure": failure}


def test_rows_are_counted_by_content(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    with Output(path, SETTINGS) as output:
        assert output.done == 0
        for content in (2**64 - 1, 5, 5):
            output.write(line(content))
    with Output(path, SETTINGS) as output:
        assert output.done == 3
        assert [output.times_done(content) for content in (5, 2**64 - 1, 6, 0)] == [2, 1, 0, 0]


def test_a_torn_line_and_a_row_without_a_score_are_owed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, SETTINGS) as output:
        output.write(line(1))
        output.write(line(2, None, "judge down"))
        output.write(line(3, None))  # masked as cut: that is a result
    with path.open("ab") as file:
        file.write(json.dumps(line(4)).encode()[:-5])
    with Output(path, SETTINGS) as output:
        assert [output.times_done(content) for content in (1, 2, 3, 4)] == [1, 0, 1, 0]
        output.write(line(4))
    assert [record["content"][-1] for _, record in read_output(path) if record] == ["1", "3", "4"]


def test_other_settings_are_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, SETTINGS) as output:
        output.write(line(1))
    other = (("signals.embed.threshold", "scored-otherwise"), ("", "other-settings"))
    with pytest.raises(ConfigError, check=only(*other)) as caught:
        Output(path, {**SETTINGS, "signals.embed.threshold": 0.6}).__enter__()
    assert numbers(caught.value.problems[0].text) == [0.8, 0.6]
    with Output(path, {**SETTINGS, "signals.embed.threshold": 0.6}, restart=True) as output:
        assert output.done == 0
    with Output(path, {**SETTINGS, "signals.embed.threshold": 0.6}):
        pass


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("precious\n")
    with pytest.raises(ConfigError, check=only(("--out", "not-ours"))):
        Output(path, SETTINGS).__enter__()
    assert path.read_text() == "precious\n"
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_broken_line_in_the_middle_is_an_error_and_not_skipped(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, SETTINGS) as output:
        output.write(line(1))
    path.write_bytes(b"{broken}\n" + path.read_bytes())
    with pytest.raises(DataError, check=coded("not-ours", "out.jsonl:1")):
        Output(path, SETTINGS).__enter__()


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, SETTINGS) as output:
        output.write(line(1))
        with pytest.raises(ConfigError, check=only(("--out", "in-use"))):
            Output(path, SETTINGS).__enter__()
    with Output(path, SETTINGS) as output:
        assert output.done == 1


def test_a_full_disk_is_said_and_costs_nothing_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, SETTINGS) as output:
        output.write(line(1))
        monkeypatch.setattr(
            "os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        )
        monkeypatch.setattr(output, "_synced", float("-inf"))
        with pytest.raises(DataError, check=coded("not-written", "No space left on device")):
            output.write(line(2))
    monkeypatch.undo()
    with Output(path, SETTINGS) as output:
        assert output.times_done(1) == 1


def test_lone_surrogates_of_a_reply_are_kept_readable(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, SETTINGS) as output:
        output.write({**line(1), "completion": "a\ud800b"})
    assert [record["completion"] for _, record in read_output(path) if record] == ["a\ud800b"]
