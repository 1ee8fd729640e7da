"""Computes the sizes in preflight/model/known_models.json from the values of each config that stand there.

python scripts/update_known_models.py            # writes
python scripts/update_known_models.py --check    # exit code 1 when a size is behind
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from medix_r1.training.preflight.machine.memory import built_size
from medix_r1.training.preflight.model.known_models import FILE


def computed(values: dict[str, Any]) -> dict[str, int]:
    """Sizes of the model that a config describes, built on torch's meta device."""
    config = AutoConfig.for_model(**values)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    return asdict(built_size(model, config))


def main() -> int:
    """Write the file, or compare it."""
    written = FILE.read_text(encoding="utf-8")
    entries = json.loads(written)
    for entry in entries:
        entry["size"] = computed(entry["config"])
    text = json.dumps(entries, indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        return int(text != written)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
