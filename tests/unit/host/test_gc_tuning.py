import gc

import pytest

from medix_r1.host import gc_tuning

PYTHONS_OWN = gc.get_threshold()


@pytest.fixture(autouse=True)
def _as_before():
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    if frozen:
        gc.freeze()


def objects_left_of(cycles: int) -> int:
    before = len(gc.get_objects())
    for _ in range(cycles):
        cycle: list[object] = []
        cycle.append(cycle)
    return len(gc.get_objects()) - before


def test_while_loading_cycles_go_later_and_what_is_there_is_still_seen():
    frozen = gc.get_freeze_count()
    gc_tuning.tune_for_imports()

    assert gc.get_freeze_count() == frozen
    assert objects_left_of(200_000) < 100_000


def test_while_scoring_what_is_there_is_no_longer_walked_and_later_cycles_still_go():
    gc_tuning.tune_for_scoring()

    assert gc.get_freeze_count() > 0
    assert objects_left_of(1_500_000) < 1_400_000


def test_while_training_young_cycles_go_as_soon_as_ever():
    gc_tuning.tune_for_imports()
    gc_tuning.tune_for_training()

    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == PYTHONS_OWN
    assert objects_left_of(20_000) < 2_000
