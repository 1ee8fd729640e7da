import pytest

from medix_r1.runs.group_filter import GroupFilter
from medix_r1.training.verl_plugin.sampler import refill_metrics

ALL_WRONG = [0.145] * 5  # upstream defect 14: groups like these two are kept there and train on nothing
ALL_RIGHT_WRONG_TAG = [0.955] * 5


@pytest.mark.parametrize(
    ("values", "drops"),
    [
        ([0.0, 0.0, 0.0], True),
        ([1.0, 1.0], True),
        ([1.0, 0.0], False),
        ([0.0, 0.0, 0.0, 0.0, 1.0], False),
        (ALL_WRONG, True),
        (ALL_RIGHT_WRONG_TAG, True),
        ([1.0], True),
        ([], True),
    ],
)
def test_groups_of_equal_values_teach_nothing(values, drops):
    assert GroupFilter("llm").drops(values) is drops


@pytest.mark.parametrize(
    ("low", "high", "values", "drops"),
    [
        (0.01, 0.99, [0.0, 1.0], False),
        (0.5, None, [0.0, 1.0], True),  # strictly between
        (None, 0.5, [0.0, 1.0], True),
        (0.49, 0.51, [0.0, 1.0], False),
        (0.6, 0.9, [0.0, 1.0], True),
        (0.1, 0.4, [0.0, 1.0], True),
        (0.01, 0.99, [0.5, 0.5], True),
        (0.01, 0.99, [0.0, 0.01], True),
    ],
)
def test_limits_of_the_mean(low, high, values, drops):
    assert GroupFilter("llm", low, high).drops(values) is drops


def test_what_filtering_cost():
    evictions = {
        "training/filter_groups/evicted_samples": 6,
        "training/filter_groups/discarded_surplus_samples": 2,
    }

    assert refill_metrics(evictions, 8, 5.0, refilled=12, seconds=3.5) == {
        "sampler/filtered_groups": 6.0,
        "sampler/filtered_share": 6 / 16,
        "sampler/surplus_groups": 2.0,
        "sampler/refilled_prompts": 12.0,
        "sampler/refilled_rollouts": 60.0,
        "sampler/refill_seconds": 3.5,
    }


def test_nothing_filtered_costs_nothing():
    assert set(refill_metrics({}, 8, 5.0, refilled=0, seconds=0.0).values()) == {0.0}
