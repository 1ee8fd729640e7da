"""verl's platform, set before any test imports verl, which reads it once; the nano policy, unpacked once a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medix_r1.demo.shipped import shipped_folder, unpack

os.environ.setdefault("VERL_PLATFORM", "cpu")

# The files that take longest, and those that wait longest for processes. One that began last would run on alone.
LONGEST = [
    "test_merge.py",
    "test_extend_pages.py",
    "test_evaluation.py",
    "training/simulation/test_run.py",
    "upstream/test_reproductions.py",
    "training/verl_plugin/test_pictures.py",
    "test_engine.py",
    "test_scorer.py",
    "test_data_prepare.py",
    "test_reward_verbs.py",
    "checkpoints/test_merge.py",
    "nano/test_judge.py",
    "training/verl_plugin/computing/test_varlen_attention.py",
    "scoring/test_probe_rules.py",
    "test_nothing_leaks.py",
    "training/preflight/test_checks.py",
    "training/verl_plugin/test_compatibility.py",
    "training/verl_plugin/test_plugin.py",
    "test_function_process.py",
    "test_benchmarks.py",
    "nano/test_command.py",
    "test_wheel.py",
    "test_update_docs.py",
    "training/preflight/test_fuzz.py",
]
_RANK = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others stay as they are."""
    items.sort(key=lambda item: _RANK.get(item.path, len(_RANK)))


@pytest.fixture(scope="session")
def nano_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of the policy as the demo starts from it; read only."""
    folder = tmp_path_factory.mktemp("nano") / "policy"
    unpack(shipped_folder("policy"), folder)
    return folder
