"""The helper that tells linear work from quadratic work."""

from __future__ import annotations

from tests.support.scaling import is_linear


def test_linear_work() -> None:
    assert is_linear(lambda size: sum(range(size)), 200_000)


def test_quadratic_work() -> None:
    assert not is_linear(lambda size: [sum(range(size)) for _ in range(size)], 400)
