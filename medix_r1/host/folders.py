"""Says why a folder could not be made or written to, before anything is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_KERNELS = ("/proc", "/sys", "/dev")  # no file outlives the machine there


@dataclass(frozen=True, slots=True)
class FolderFault:
    """Why there can be no such folder: a problem's code, and a sentence."""

    code: str
    says: str


def named_path(name: str) -> Path:
    """The path that a config names, `~` expanded. One that no file system takes leads nowhere, as a missing file does.

    Such names are too long, or hold the home of a user that there is not.
    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError):
        return Path(os.devnull) / "no-such-name"
    return path


def kernel_fault(folder: Path) -> FolderFault | None:
    """A folder of the kernel's, which is wrong on every machine. `folder` is absolute."""
    if any(folder.is_relative_to(kernels) for kernels in _KERNELS):
        return FolderFault("no-folder-name", f"{folder} is the kernel's, which keeps no files; take another")
    return None


def existing_part(folder: Path) -> Path | FolderFault:
    """The folder, or the nearest one above it that is there and can be written to. `folder` is absolute."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
    except (OSError, ValueError) as error:  # a name that is too long, or holds a null byte
        says = f"it cannot be the name of a folder ({error.args[-1]}); take another"
        return FolderFault("no-folder-name", says)
    if not existing.is_dir():
        return FolderFault("no-folder-name", f"{existing} is a file, so no folder can be there; take another")
    if not os.access(existing, os.W_OK):
        return FolderFault("not-writable", f"{existing} cannot be written to")
    return existing


def folder_fault(folder: Path) -> FolderFault | None:
    """Why this folder could not be made on this machine, or None. `folder` is absolute."""
    if (fault := kernel_fault(folder)) and not folder.is_relative_to("/dev/shm"):  # a cache may live in memory
        return fault
    found = existing_part(folder)
    return found if isinstance(found, FolderFault) else None
