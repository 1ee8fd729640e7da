"""A machine that has enough of everything and all files of the demo, for checks of configs on any machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from medix_r1.images.stand_ins import grey_picture
from medix_r1.training.preflight.machine import host_memory
from tests.unit.data.support import make_backbone
from tests.unit.training.preflight.rows.test_data_rows import PICTURE, parquet, row

GIB = 1024**3


def good_machine(patch: pytest.MonkeyPatch, *, available: float = 64 * GIB) -> None:
    """Give this process a machine with memory, disk and programs, and without keys."""
    memory(patch, available=available)
    disk(patch, free=640 * GIB)
    patch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "SOME_KEY"):
        patch.delenv(name, raising=False)


def memory(patch: pytest.MonkeyPatch, *, available: float) -> None:
    """Say how many bytes of memory are available."""
    patch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available, total=available))
    patch.setattr(host_memory, "_CGROUP", Path("/nowhere"))  # the limit of a container that the tests run in


def disk(patch: pytest.MonkeyPatch, *, free: float, shared: float = 64 * GIB) -> None:
    """Say how many bytes are free on every disk, and in /dev/shm."""
    patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=shared if str(path) == "/dev/shm" else free))


def demo_files(folder: Path) -> Path:
    """Write what looks like `medix-r1 demo build`: rows, and folders of models whose weights are none."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in ("train", "heldout_views", "heldout_sources"):
        rows = [row(number, extra={"row_id": f"{name}-{number}"}) for number in range(24)]
        for one in rows[::2]:  # another picture, so that each has one that can stand in for it
            one["images"] = [PICTURE | {"bytes": grey_picture((32, 32))}]
        parquet(folder / "data" / f"{name}.parquet", rows)
    for name in ("policy", "judge"):
        (make_backbone(folder / "models" / name) / "pytorch_model.bin").write_bytes(b"weights")
    return folder
