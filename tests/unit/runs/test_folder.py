import json
import multiprocessing

import pytest

from medix_r1.runs.folder import Follower, RunFolder, read_lines


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.create()
    return made


def _write_events(folder: RunFolder, process: int) -> None:
    for number in range(100):
        folder.add_event("note", process=process, number=number, filling="x" * 2000)


def test_events_of_many_processes_do_not_mix(folder):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_events, args=(folder, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    events = list(read_lines(folder.events))

    assert len(events) == 400
    for number in range(4):
        assert [event["number"] for event in events if event["process"] == number] == list(range(100))
    assert all(event["filling"] == "x" * 2000 and event["event"] == "note" for event in events)


def test_an_event_has_a_time_and_its_fields(folder):
    folder.add_event("error", message="line\nbreak ü")

    (event,) = read_lines(folder.events)
    assert event.keys() == {"time", "event", "message"}
    assert event["message"] == "line\nbreak ü"


def test_a_torn_last_line_is_left_out(folder):
    folder.events.write_text('{"event": "a"}\n{"event": "b"}\n{"even')

    assert [event["event"] for event in read_lines(folder.events)] == ["a", "b"]


def test_no_file_has_no_lines(folder):
    assert list(read_lines(folder.events)) == []
    assert Follower(folder.events).new() == []


def test_a_follower_sees_each_line_once_and_whole(folder):
    follower = Follower(folder.events)
    whole = [json.dumps({"event": word}, ensure_ascii=False) + "\n" for word in ("a", "ünder", "c")]
    data = "".join(whole).encode()
    seen = []
    with folder.events.open("ab", buffering=0) as file:
        for start in range(0, len(data), 3):  # cuts the ü in two as well
            file.write(data[start : start + 3])
            seen += follower.new()

    assert [event["event"] for event in seen] == ["a", "ünder", "c"]
    assert follower.new() == []


def test_a_follower_from_the_end_skips_what_was_there(folder):
    folder.add_event("old")
    follower = Follower(folder.events, from_end=True)
    folder.add_event("new")

    assert [event["event"] for event in follower.new()] == ["new"]


def write_metrics(folder: RunFolder, attempt: int, *records: tuple[int, dict[str, float]], torn: str = "") -> None:
    lines = [json.dumps({"step": step, "data": data}) + "\n" for step, data in records]
    folder.metrics(attempt).write_text("".join(lines) + torn)


def test_metrics_of_all_attempts_are_merged(folder):
    write_metrics(
        folder,
        1,
        (0, {"heldout/a": 0.1}),
        (1, {"loss": 1.0}),
        (1, {"heldout/a": 0.2}),
        (2, {"loss": 2.0, "only_first": 1.0}),
        torn='{"step": 3, "da',
    )
    write_metrics(folder, 2, (2, {"loss": 22.0}), (3, {"loss": 3.0}))

    merged = folder.metrics_by_step()

    assert list(merged) == [0, 1, 2, 3]
    assert merged[1] == {"loss": 1.0, "heldout/a": 0.2}
    assert merged[2] == {"loss": 22.0, "only_first": 1.0}
    assert merged[3] == {"loss": 3.0}


def test_attempts_are_merged_in_the_order_of_their_numbers(folder):
    for attempt in (1, 2, 10, 11):
        write_metrics(folder, attempt, (1, {"attempt": attempt}))

    assert folder.metrics_by_step() == {1: {"attempt": 11}}


def test_no_metrics(folder):
    assert folder.metrics_by_step() == {}


def test_attempts_are_counted_by_their_logs(folder):
    assert folder.attempts == 0
    for attempt in (1, 2):
        folder.log(attempt).touch()
        folder.log(attempt).with_suffix(".judge.log").touch()

    assert folder.attempts == 2


def test_create_twice_does_no_harm(folder):
    folder.add_event("a")
    folder.create()

    assert len(list(read_lines(folder.events))) == 1
    assert {path.name for path in folder.root.iterdir() if path.is_dir()} == {
        *("logs", "metrics", "samples", "tensorboard", "checkpoints")
    }
