"""A keeper removes its own leftovers from shared memory at its end, and nothing that another run still uses."""

import multiprocessing
import os
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import pytest

from medix_r1.host import processes

pytestmark = pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no /dev/shm here")


def test_what_nobody_uses_goes():
    before = processes.shared_memory_objects()
    left = Path(f"/dev/shm/medix-test-{os.getpid()}")
    left.write_text("left by a process that has ended")
    processes.remove_leftovers(before, None)
    assert not left.exists()


def test_a_mapped_block_and_an_open_file_stay():
    before = processes.shared_memory_objects()
    block = SharedMemory(create=True, size=64)
    opened = Path(f"/dev/shm/medix-test-open-{os.getpid()}")
    try:
        with opened.open("w"):
            processes.remove_leftovers(before, None)
            assert (Path("/dev/shm") / block.name.lstrip("/")).exists()
            assert opened.exists()
    finally:
        block.close()
        block.unlink()
        opened.unlink(missing_ok=True)


@pytest.mark.skipif(sys.platform != "linux", reason="named semaphores are files on Linux only")
def test_a_semaphore_of_a_starting_process_stays():
    """A semaphore is mapped under a temporary name; a spawned child opens it by its final name."""
    before = processes.shared_memory_objects()
    context = multiprocessing.get_context("spawn")
    semaphore: Any = context.Semaphore()
    path = Path(f"/dev/shm/sem.{semaphore._semlock.name.lstrip('/')}")
    assert path.exists()
    processes.remove_leftovers(before, None)
    assert path.exists()
