from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medix_r1.data.lengths.fit import fitting_sizes
from medix_r1.data.lengths.tokens import ResizeRule
from medix_r1.data.row import Reason, RowRejected

RULE = ResizeRule(16, 2, 65536, 16777216)
SIDES = st.integers(1, 6000)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4), st.integers(1, 4000))
def test_what_fits_is_within_the_budget_and_not_larger_than_it_was(sizes, budget):
    try:
        smaller = fitting_sizes(sizes, RULE, budget)
        before = sum(RULE.tokens(*size) for size in sizes)
    except RowRejected as problem:
        assume(problem.reason not in (Reason.TOO_LONG, Reason.ASPECT_RATIO))
        raise

    after = sum(RULE.tokens(*size) for size in smaller)
    assert after <= budget
    assert all(
        new <= old
        for new_size, size in zip(smaller, sizes, strict=True)
        for new, old in zip(new_size, size, strict=True)
    )
    if before > 2 * budget > 800 * len(sizes):
        assert after > 0.6 * budget  # the largest that fits, not any


def test_the_shape_is_kept():
    ((width, height),) = fitting_sizes([(4000, 2000)], RULE, 1000)

    assert abs(width / height - 2) < 0.02
