import socket

import pytest

from medix_r1.serving.foreground import attach_hint
from medix_r1.serving.server import ServerSettings


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("10.0.0.7", "10.0.0.7"),
        ("0.0.0.0", "judge-node"),
        ("::", "judge-node"),
    ],
)
def test_the_hint_names_an_address_that_others_reach(monkeypatch: pytest.MonkeyPatch, host: str, told: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "judge-node")

    hint = attach_hint(ServerSettings("org/model", "judge", host=host, port=8000))

    assert f" judge.client.base_url=http://{told}:8000/v1 " in hint
