"""The fast tier: neither collecting nor running its tests imports torch, verl or another heavy package."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support.import_guard import imports_refused


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    with imports_refused():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with imports_refused():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    with imports_refused() as attempts:
        result = yield
    assert not attempts, f"imported in a test of the fast tier: {', '.join(sorted(set(attempts)))}"
    return result
