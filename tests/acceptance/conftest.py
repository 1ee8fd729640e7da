"""What acceptance tests share: the demo of the end-to-end tests, and one build of it with both models trained again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from medix_r1.demo.batches import EncodedRows, read_rows
from medix_r1.demo.rows import labels as label_file
from tests.e2e.conftest import demo, nano_overrides
from tools.nano.policy import warm_start
from tools.nano.policy.report import Measurement, measure
from tools.nano.train import train as train_models

__all__ = ["demo", "heldout", "nano_overrides", "rebuilt"]


@dataclass
class Rebuilt:
    """Policy and judge trained side by side, and the policy measured on its way."""

    out: Path
    committed: Measurement  # after the policy's first phase, before it learns to hedge
    committed_shuffled: Measurement


@pytest.fixture(scope="session")
def rebuilt(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Rebuilt:
    between: list[Measurement] = []
    rows, hedges = heldout(demo), label_file.load().hedges
    train = warm_start.train

    def observed(model: Any, *args: Any) -> None:
        if args[2] is warm_start.HEDGE:
            between.extend(measure(model, rows, hedges=hedges, shuffled=shuffled) for shuffled in (False, True))
        train(model, *args)

    out = tmp_path_factory.mktemp("rebuilt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm_start, "train", observed)
        train_models(out)
    return Rebuilt(out, *between)


def heldout(out: Path) -> EncodedRows:
    """The held-out views, encoded by the policy's own processor."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(out / "models" / "policy")
    return EncodedRows(read_rows(out / "data" / "heldout_views.parquet"), processor)
