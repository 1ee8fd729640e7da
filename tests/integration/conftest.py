"""The nano policy, unpacked once for all tests of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from medix_r1.demo.shipped import shipped_folder, unpack


@pytest.fixture(scope="session")
def nano_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of the policy as the demo starts from it; read only."""
    folder = tmp_path_factory.mktemp("nano") / "policy"
    unpack(shipped_folder("policy"), folder)
    return folder
