"""The judges of the unit tests."""

from tests.unit.models.conftest import _short_waits, make_judge

__all__ = ["_short_waits", "make_judge"]
