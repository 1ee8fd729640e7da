import numpy as np
import pytest

from medix_r1.algorithms import RewardParts, estimator
from medix_r1.algorithms.estimators import ESTIMATORS, needs_parts, parts_of_batch
from medix_r1.errors import ConfigError, TrainingError
from tests.support.problems import coded, only

PARTS = RewardParts({"llm": np.array([1.0, 0.0])}, {"llm": 1.0})


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    for name in ("test_plain", "test_parts"):
        monkeypatch.setitem(ESTIMATORS, name, None)  # put back when the test ends
        del ESTIMATORS[name]


def test_the_function_stays_as_it_is_and_is_called_with_what_verl_gives():
    @estimator("test_plain")
    def plain(index, **given):
        return index, given

    assert ESTIMATORS["test_plain"].function is plain
    assert not needs_parts("test_plain")
    assert not needs_parts("grpo")


def test_an_estimator_that_needs_them_gets_the_parts_of_this_batch():
    @estimator("test_parts", needs_parts=True)
    def with_parts(index, parts, **given):
        return index, parts

    assert needs_parts("test_parts")
    with parts_of_batch(PARTS):
        assert ESTIMATORS["test_parts"].function(index="groups", config=None) == ("groups", PARTS)
    with pytest.raises(TrainingError, check=coded("not-our-trainer", "test_parts")):
        ESTIMATORS["test_parts"].function(index="groups")


def test_a_name_is_given_once():
    with pytest.raises(ConfigError, check=only(("algorithm.adv_estimator", "given-twice"))):
        estimator("medix_gdpo")(print)
