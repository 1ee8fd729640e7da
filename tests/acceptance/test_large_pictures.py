"""A real run with large pictures: the memory that `check` counts is what it holds, and groups stay together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2400)]

ROOT = Path(__file__).parents[2]
PROMPTS, ROLLOUTS = 8, 5


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Any:
    """What benchmarks/large_pictures.py saw of a run with two ranks and two replicas."""
    options = {
        "--ways": "medix",
        "--steps": "1",
        "--demo": str(demo),
        "--prompts": str(PROMPTS),
        "--rollouts": str(ROLLOUTS),
        "--folder": str(tmp_path_factory.mktemp("runs")),
    }
    command = [sys.executable, "benchmarks/large_pictures.py", *(word for pair in options.items() for word in pair)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith('{"medix":')]
    return json.loads(line)["medix"]


def test_check_counts_what_a_run_holds(seen: Any) -> None:
    assert sum(seen["estimate"].values()) == pytest.approx(seen["peak"]["all"], rel=0.15)


def test_a_group_stays_together(seen: Any) -> None:
    assert seen["prompt_tokens"] >= 1000
    assert seen["cached_share"] >= 0.75
    assert seen["vision_runs_a_prompt"] <= 1.2
