"""The sizes of known models are what transformers builds from their configs."""

import json
import runpy
from pathlib import Path

import pytest

from medix_r1.training.preflight.model.known_models import FILE

SCRIPT = Path(__file__).parents[5] / "scripts" / "update_known_models.py"
ENTRIES = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["names"][0] for entry in ENTRIES])
def test_the_sizes_are_computed(entry):
    computed = runpy.run_path(str(SCRIPT))["computed"]
    assert computed(entry["config"]) == entry["size"]
