"""`medix-r1 merge --push` as a command, against a hub on loopback; huggingface_hub itself is the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.checkpoints.plain import config, save, state_of
from tests.support.hub_stub import TOKEN, HubStub


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("run"), state_of(config()))


def push(checkpoint: Path, out: Path, hub: HubStub, *options: str, token: str = TOKEN) -> tuple[int, str]:
    command = [sys.executable, "-m", "medix_r1.cli", "merge", str(checkpoint), "--out", str(out), "--push", "me/model"]
    # Without xet huggingface_hub speaks the plain LFS protocol, which is small enough to imitate.
    home = {
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": token,
        "HF_HOME": str(out.parent / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **home},
    )
    assert TOKEN not in done.stdout
    return done.returncode, done.stdout


def test_a_model_is_uploaded_and_private(checkpoint: Path, tmp_path: Path) -> None:
    with HubStub() as hub:
        code, output = push(checkpoint, tmp_path / "out", hub)

    assert code == 0, output
    assert hub.private == {"me/model": True}
    assert hub.files == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert f"uploaded to {hub.address}" in output


def test_public_only_when_told_so(checkpoint: Path, tmp_path: Path) -> None:
    with HubStub() as hub:
        code, output = push(checkpoint, tmp_path / "out", hub, "--public")
    assert code == 0, output
    assert hub.private == {"me/model": False}


@pytest.mark.parametrize(
    ("existing", "token", "reason"),
    [({"me/model": False}, TOKEN, " --public"), ({}, "hf_wrong", "(401)"), ({}, "", "no token; set HF_TOKEN")],
)
def test_what_cannot_be_pushed_is_known_before_the_merge(
    checkpoint: Path, tmp_path: Path, existing: dict[str, bool], token: str, reason: str
) -> None:
    with HubStub(existing) as hub:
        code, output = push(checkpoint, tmp_path / "out", hub, token=token)
    assert code == 1
    assert "--push me/model: " in output
    assert reason in output
    assert hub.files == {}
    assert not (tmp_path / "out").exists()
