"""A server of pictures that wants credentials."""

import base64

import pytest

from medix_r1.errors import ConfigError, DataError
from medix_r1.evaluation.benchmarks.image_server import ImageServer
from tests.support.loopback import LoopbackHandler, LoopbackServer
from tests.support.problems import coded


class _PhysioNet(LoopbackServer):
    def __init__(self) -> None:
        super().__init__(_Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.failures = 0


class _Handler(LoopbackHandler):
    server: _PhysioNet

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Authorization")))
        wanted = "Basic " + base64.b64encode(b"user:s3cret").decode()
        if self.server.failures:
            self.server.failures -= 1
            self.send(503, b"a picture")
        elif self.path == "/moved":
            self.send(302, b"a picture", {"Location": "http://127.0.0.2:1/elsewhere"})
        else:
            self.send(200 if self.headers.get("Authorization") == wanted else 401, b"a picture")


@pytest.fixture
def physionet(monkeypatch):
    monkeypatch.setenv("PHYSIONET_USERNAME", "user")
    monkeypatch.setenv("PHYSIONET_PASSWORD", "s3cret")
    with _PhysioNet() as server:
        yield server


def test_an_image_is_fetched_once_and_kept_for_this_user_alone(physionet, tmp_path) -> None:
    physionet.failures = 1  # one 503 is tried again
    for _ in range(2):
        server = ImageServer(physionet.address, tmp_path / "cache")
        assert server.read(f"{physionet.address}/files/x.jpg") == b"a picture"
    assert len(physionet.requests) == 2
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "cache").iterdir())


def test_credentials_go_to_one_host_only(physionet, tmp_path) -> None:
    server = ImageServer(physionet.address, tmp_path)
    for address in ("http://evil.example/x.jpg", physionet.address.replace("http:", "ftp:") + "/x", "x.jpg"):
        with pytest.raises(DataError, check=coded("another-host")):
            server.read(address)
    with pytest.raises(DataError, check=coded("not-fetched", 302)):  # a redirect is not followed
        server.read(f"{physionet.address}/moved")
    assert physionet.requests == [("/moved", physionet.requests[0][1])]


def test_a_refusal_names_the_status_and_not_the_password(physionet, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PHYSIONET_PASSWORD", "wr0ng")
    with pytest.raises(DataError, check=coded("not-fetched", 401)) as caught:
        ImageServer(physionet.address, tmp_path).read(f"{physionet.address}/x.jpg")
    assert "wr0ng" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_missing_credentials_are_named(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("PHYSIONET_USERNAME", raising=False)
    monkeypatch.delenv("PHYSIONET_PASSWORD", raising=False)
    assert len(ImageServer.problems("tasks.x")) == 2
    with pytest.raises(ConfigError):
        ImageServer("https://physionet.org", tmp_path)


def test_bytes_are_bounded(physionet, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("medix_r1.evaluation.benchmarks.image_server._MAX_BYTES", 4)
    with pytest.raises(DataError, check=coded("too-large")):
        ImageServer(physionet.address, tmp_path).read(f"{physionet.address}/x.jpg")
