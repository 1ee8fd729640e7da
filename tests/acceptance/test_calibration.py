"""A nano policy learns how sure it may be: the demonstration of docs/calibration.md with one seed (minutes)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tools.nano.calibration.demonstration import demonstrate

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(4000)]


@pytest.fixture(scope="module")
def ends(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The last validation of each arm on new views of known pictures."""
    found = demonstrate(demo, tmp_path_factory.mktemp("calibration"), [1], keep=False, console=Console(width=200))
    return {
        arm: [one for one in run["points"] if one["set"] == "heldout_views"][-1] for arm, [run] in found["runs"].items()
    }


def test_nearly_every_reply_says_a_confidence(ends: dict[str, dict[str, Any]]) -> None:
    assert all(end["all"]["said"] >= 0.8 * end["replies"] for end in ends.values())


def test_the_error_of_what_it_says_falls(ends: dict[str, dict[str, Any]]) -> None:
    earned = ends["earned"]["all"]
    assert earned["ece"] <= 0.4 * ends["plain"]["all"]["ece"]
    assert earned["brier"] < earned["best_constant"]


@pytest.mark.parametrize("which", ["all", "committed"])
def test_it_knows_which_answers_are_right(ends: dict[str, dict[str, Any]], which: str) -> None:
    assert ends["earned"][which]["auroc_interval"][0] > 0.5


def test_the_answers_do_not_pay_for_it(ends: dict[str, dict[str, Any]]) -> None:
    assert ends["earned"]["exact"] >= ends["plain"]["exact"] - 0.05
