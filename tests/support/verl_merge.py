"""Checkpoints of fsdp_save.py, and what verl's own merger makes of them: python -m tests.support.verl_merge ROOT CASE …

Writes ROOT/CASE as fsdp_save.py does, and ROOT/CASE/verl. One process for all: importing verl costs more than merging
these models.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support import fsdp_save
from tests.support.fsdp_save import checkpoint_of


def main(root: Path, names: list[str]) -> None:
    fsdp_save.main(root, names)
    from verl.model_merger.base_model_merger import ModelMergerConfig  # now: its ranks are forked
    from verl.model_merger.fsdp_model_merger import FSDPModelMerger

    for name in names:
        actor = checkpoint_of(root / name) / "actor"
        config = ModelMergerConfig(
            operation="merge",
            backend="fsdp",
            local_dir=str(actor),
            target_dir=str(root / name / "verl"),
            hf_model_config_path=str(actor / "huggingface"),
        )
        FSDPModelMerger(config).merge_and_save()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
