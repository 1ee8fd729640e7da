"""Acceptance shares the demo's fixtures with the end-to-end tests."""

from tests.e2e.conftest import demo

__all__ = ["demo"]
