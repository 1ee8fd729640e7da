"""The judges and stand-ins of the unit tests."""

from tests.unit.models.conftest import _short_waits, make_judge, stub

__all__ = ["_short_waits", "make_judge", "stub"]
