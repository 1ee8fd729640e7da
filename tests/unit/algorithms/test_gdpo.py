import numpy as np

from medix_r1.algorithms import gdpo


def test_it_keeps_apart_what_a_sum_makes_equal():
    """The point of the paper: rewards (1, 0) and (0, 1) have one sum, and differ where one part is rare."""
    real = np.ones(4, dtype=bool)
    parts = {"a": np.array([1.0, 0.0, 0.0, 0.0]), "b": np.array([0.0, 1.0, 1.0, 0.0])}

    rare, common, _, none = gdpo.advantages(parts, {"a": 0.5, "b": 0.5}, np.array(["g"] * 4), real)

    assert rare > common > none


def test_a_batch_with_one_reply_is_zero():
    one = gdpo.advantages({"a": np.array([1.0, 0.0])}, {"a": 1.0}, np.array(["g", "pad"]), np.array([True, False]))
    assert one.tolist() == [0.0, 0.0]
