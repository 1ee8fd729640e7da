"""Python's cycle collector: neither thousands of waiting calls nor an import is a reason to search for garbage.

What torch and its like bring is walked again and again otherwise: while verl is imported that is a fifth of the time,
in every process of a run (docs/cpu.md), and where samples are scored each collection walks every sample that waits.
torchtitan takes the collector in hand for the same reason.
"""

from __future__ import annotations

import gc

# New objects until the young ones are looked at; how often those are, until the older and the oldest are.
_PYTHONS_OWN = gc.get_threshold()
_WHILE_LOADING = (50_000, 20, 20)
_WHILE_SCORING = (1_000_000, 10, 10)  # a scored sample leaves no cycle behind (tests/integration/test_gc_tuning.py)


def tune_for_imports() -> None:
    """Raise the gc thresholds while large packages are imported: cycles are found later, not never.

    The first thing that the driver and Ray's workers do, before they import anything large; Ray calls it by name
    (`worker_process_setup_hook` in configs/verl.yaml). Processes that vLLM spawns are not reached.
    """
    gc.set_threshold(*_WHILE_LOADING)


def tune_for_scoring() -> None:
    """Freeze current objects (`gc.freeze`) and raise the thresholds; for processes that only score.

    Call it once what is large has been loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_WHILE_SCORING)


def tune_for_training() -> None:
    """Freeze current objects (`gc.freeze`) and restore Python's own thresholds; for processes that train.

    A cycle may hold a micro-batch's tensors, so what is young must not grow old.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_PYTHONS_OWN)
