"""Tunes Python's garbage collector, so that it runs less often during imports and scoring.

With the default thresholds, importing verl spends a fifth of its time in collections, in every process of a run
(docs/cpu.md). While samples are scored, each collection traverses all waiting samples. torchtitan controls the
collector for the same reason.
"""

from __future__ import annotations

import gc

# Thresholds of generations 0, 1 and 2, as in `gc.set_threshold`.
_DEFAULT = gc.get_threshold()
_WHILE_LOADING = (50_000, 20, 20)
_WHILE_SCORING = (1_000_000, 10, 10)  # scoring creates no reference cycles (tests/integration/test_gc_tuning.py)


def tune_for_imports() -> None:
    """Raise the gc thresholds while large packages are imported.

    The driver and Ray's workers call it before they import anything large; Ray does so by name
    (`worker_process_setup_hook` in configs/verl.yaml). It does not reach processes that vLLM spawns.
    """
    gc.set_threshold(*_WHILE_LOADING)


def tune_for_scoring() -> None:
    """Freeze current objects (`gc.freeze`) and raise the gc thresholds; for processes that only score.

    Call it after large models are loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_WHILE_SCORING)


def tune_for_training() -> None:
    """Freeze current objects (`gc.freeze`) and restore Python's default thresholds; for processes that train.

    A reference cycle may hold a micro-batch's tensors, so young objects must be collected soon.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_DEFAULT)
