import gc

import pytest

from medix_r1 import collector


@pytest.fixture(autouse=True)
def _as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_there_is_no_longer_walked_and_later_cycles_still_go():
    collector.relax()
    assert gc.get_freeze_count() > 0
    before = len(gc.get_objects())
    for _ in range(200_000):
        cycle: list[object] = []
        cycle.append(cycle)

    assert len(gc.get_objects()) - before < 100_000
