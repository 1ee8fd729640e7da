"""Writes a folder atomically: under a temporary name, then renamed.

A killed merge leaves `.NAME.merging` (a partial model, no longer locked) or, between the two renames, `.NAME.replaced`
(the old model). The next merge to the same place removes the first and restores the second.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from medix_r1.errors import CheckpointError


class _Ended(BaseException):
    """A signal asks the process to end. No handler of other errors may swallow it."""


@contextmanager
def atomic_folder(out: Path, check: Callable[[], None]) -> Iterator[Path]:
    """Yield a temporary folder beside `out`; at the end of the block it is fsynced and renamed to `out`.

    Whatever ends the block early, SIGTERM and SIGHUP too, leaves nothing behind.

    Args:
        out: absolute path of the model's folder, without links.
        check: raises if `out` must not be written; called when no other merge can write there.

    Raises:
        CheckpointError: another merge is writing `out`, or the process was asked to end.
    """
    temporary, old = (out.with_name(f".{out.name}.{word}") for word in ("merging", "replaced"))
    with _ended_by_signals(), _parents(out), _locked(temporary):
        _recover(out, old)
        check()
        try:
            yield temporary
            _sync(*temporary.iterdir(), temporary)
            if out.exists():
                os.replace(out, old)
            os.replace(temporary, out)
            _sync(out.parent)
        except BaseException:  # Ctrl-C too: restores the old model
            _recover(out, old)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exception within the block, so that it cleans up; a second one is ignored."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        for one in wanted:
            signal.signal(one, signal.SIG_IGN)
        raise _Ended(signal.Signals(number).name)

    wanted = (signal.SIGTERM, signal.SIGHUP)
    previous = {one: signal.getsignal(one) for one in wanted}
    try:
        for one in wanted:
            if previous[one] is not signal.SIG_IGN:  # nohup
                signal.signal(one, end)
        yield
    except _Ended as ended:
        raise CheckpointError(f"ended by {ended}; nothing was written", code="ended-by-a-signal") from None
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


@contextmanager
def _parents(out: Path) -> Iterator[None]:
    """Create the folders above `out`; those that were missing are removed if the block fails."""
    missing = [folder for folder in out.parents if not folder.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:  # the deepest first
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Create a folder, lock it and empty it. The lock ends with the process, so an unlocked folder is a leftover."""
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link; remove it, a merge keeps its files there", code="is-a-link")
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"another merge is writing {folder}; wait for it", code="in-use") from None
        for leftover in folder.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _recover(out: Path, old: Path) -> None:
    """Restore the old model if there is no new one."""
    if old.exists() and not out.exists():
        os.replace(old, out)
    shutil.rmtree(old, ignore_errors=True)


def _sync(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
