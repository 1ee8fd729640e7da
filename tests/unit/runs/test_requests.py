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
