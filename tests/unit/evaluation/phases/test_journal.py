import json
import resource
import subprocess
import sys
import textwrap

import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.phases.journal import Journal
from medix_r1.evaluation.results.records import read_records
from tests.support.problems import coded


def test_a_torn_last_line_is_owed_and_does_not_spoil_the_next(tmp_path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"id": "a", "n": 1}\n{"id": "b", "n"')
    assert set(Journal(path).read()) == {"a"}
    with Journal(path) as journal:
        journal.append({"id": "b", "n": 2})
        journal.append({"id": "a", "n": 3})
    assert Journal(path).read() == {"a": {"id": "a", "n": 3}, "b": {"id": "b", "n": 2}}


@pytest.mark.parametrize("garbage", [b"\0\0\0\n", b"[1, 2]\n", b'"text"\n', b'{"n": 1}\n', b"\xff\xfe\n", b"\n\n"])
def test_lines_that_are_no_entries_are_owed(tmp_path, garbage) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(garbage + b'{"id": "a"}\n')
    assert Journal(path).read() == {"a": {"id": "a"}}


def test_any_text_survives(tmp_path) -> None:
    text = "line\nbreak \u2028 \ud800 half \x00 \x1b[31m"
    with Journal(tmp_path / "j") as journal:
        journal.append({"id": "a", "text": text})
    assert Journal(tmp_path / "j").read()["a"]["text"] == text


def test_a_full_disk_says_so_and_leaves_whole_lines_only(tmp_path) -> None:
    program = """
        import resource, signal, sys
        from pathlib import Path
        from medix_r1.errors import DataError
        from medix_r1.evaluation.phases.journal import Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))
        with Journal(Path(sys.argv[1])) as journal:
            try:
                for number in range(99):
                    journal.append({"id": str(number), "text": "x" * 30})
            except DataError as error:
                print(number, error.code)
    """
    path = tmp_path / "j.jsonl"
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == "2 not-written\n"
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["0", "1"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 150


def test_a_broken_record_is_named_by_file_and_line(tmp_path) -> None:
    (tmp_path / "records.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(DataError, check=coded("not-a-record", "records.jsonl:1")):
        read_records(tmp_path / "records.jsonl")
