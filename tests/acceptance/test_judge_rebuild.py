"""Trains the nano judge again and compares it with the weights that are shipped (minutes)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medix_r1.demo import judge_model
from medix_r1.demo.build import build
from medix_r1.demo.judge_pairs import read_pairs
from medix_r1.demo.judge_report import Counts, count

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2400)]

MAX_FALSE_YES = 0.03
# The shipped weights had their strictness set again after training, so a second training does not give the same bits.
# What must hold again is what the judge is used for: strict first, and far more useful than string match (0.15). The
# first repetition had a recall of 0.70 where the shipped judge has 0.80.
MIN_RECALL = 0.60


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    shipped, rebuilt = (tmp_path_factory.mktemp(name) for name in ("shipped", "rebuilt"))
    build(shipped, only=("judge",))
    build(rebuilt, rebuild=True, only=("judge",))
    return shipped / "models" / "judge", rebuilt / "models" / "judge"


def measure(folder: Path) -> Counts:
    pairs = read_pairs()
    return count(pairs, [leaning > 0 for leaning in judge_model.leanings(*judge_model.load_judge(folder), pairs)])


def test_training_again_gives_a_strict_and_useful_judge(folders: tuple[Path, Path]) -> None:
    for counts in (measure(folder) for folder in folders):
        assert counts.false_yes < MAX_FALSE_YES
        assert counts.recall > MIN_RECALL


def test_both_have_the_same_parts(folders: tuple[Path, Path]) -> None:
    ours, theirs = (judge_model.load_judge(folder)[0].state_dict() for folder in folders)
    assert {name: tensor.shape for name, tensor in ours.items()} == {name: t.shape for name, t in theirs.items()}
    assert all(torch.isfinite(tensor).all() for tensor in theirs.values())
