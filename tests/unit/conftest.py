"""The fast tier: neither collecting nor running its tests imports torch, verl or another heavy package."""

from __future__ import annotations

import functools
import gc
from collections.abc import Generator, Iterator

import pytest
from omegaconf.grammar_parser import parse

from tests.support.import_guard import imports_refused


def pytest_collection_finish() -> None:
    """What was collected stays to the end: without it in its walks, the cycle collector takes an eighth of the time."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session", autouse=True)
def _interpolations_are_parsed_once() -> Iterator[None]:
    """OmegaConf parses the same hundred interpolations at every composition, and only reads the trees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omegaconf.base.parse", functools.cache(parse))
        yield
