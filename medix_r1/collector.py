"""Python's cycle collector in a process that scores: thousands of waiting calls are no reason to search for garbage.

What torch and its like bring is walked again and again otherwise, and each collection walks every sample that waits.
"""

from __future__ import annotations

import gc

_THRESHOLDS = (50_000, 20, 20)  # new objects until the young ones are looked at; Python's own number is 700


def relax() -> None:
    """Take everything that is there now out of the collector's sight, and let it look less often from now on.

    Call it once what is large has been loaded. Cycles are found later, not never.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
