import fcntl

import pytest

from medix_r1.errors import ConfigError
from medix_r1.runs import requests
from tests.support.problems import only


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").touch()
    return tmp_path


def test_a_request_is_there_until_it_is_done(run):
    assert requests.pending(run) == set()
    requests.ask(run, "stop")
    requests.ask(run, "stop")
    requests.ask(run, "validate")
    assert requests.pending(run) == {"stop", "validate"}
    requests.clear(run, ["stop", "checkpoint"])
    assert requests.pending(run) == {"validate"}


def test_what_is_half_written_or_strange_is_no_request(run):
    (run / "requests").mkdir()
    for name in (".stop.123", "stop.tmp", "explode", "checkpoint~"):
        (run / "requests" / name).write_text("stop")
    assert requests.pending(run) == set()


def test_touch_is_enough(run):
    (run / "requests").mkdir()
    (run / "requests" / "checkpoint").touch()
    assert requests.pending(run) == {"checkpoint"}


def test_errors_name_what_there_is(run, tmp_path):
    with pytest.raises(ConfigError, check=only(("explode", "no-such-request"))):
        requests.ask(run, "explode")
    with pytest.raises(ConfigError, check=only((str(tmp_path / "nowhere"), "no-run-there"))):
        requests.ask(tmp_path / "nowhere", "stop")


@pytest.mark.parametrize("last", ["finished", "stopped", "error"])
def test_a_run_that_has_ended_is_asked_nothing(tmp_path, last):
    (tmp_path / "config.yaml").touch()
    (tmp_path / "events.jsonl").write_text(f'{{"time": 1, "event": "{last}", "message": "x"}}\n')

    with pytest.raises(ConfigError, check=only((str(tmp_path), "run-has-ended"))):
        requests.ask(tmp_path, "stop")

    assert not (tmp_path / "requests").exists()


def test_a_run_that_goes_on_after_an_end_is_asked(tmp_path):
    (tmp_path / "config.yaml").touch()
    (tmp_path / "events.jsonl").write_text('{"time": 1, "event": "stopped"}\n')
    with (tmp_path / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        requests.ask(tmp_path, "checkpoint")

    assert requests.pending(tmp_path) == {"checkpoint"}
