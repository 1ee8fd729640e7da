"""verl's platform, set before any test imports verl, which reads it once; the nano policy, unpacked once a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medix_r1.demo.shipped import shipped_folder, unpack

os.environ.setdefault("VERL_PLATFORM", "cpu")


@pytest.fixture(scope="session")
def nano_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of the policy as the demo starts from it; read only."""
    folder = tmp_path_factory.mktemp("nano") / "policy"
    unpack(shipped_folder("policy"), folder)
    return folder
