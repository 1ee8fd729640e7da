"""For the whole suite: what the machine has set is taken away, and the option `--acceptance-summary FILE`."""

from __future__ import annotations

import functools
import gc
import logging
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# The cycle collector runs more seldom: while modules are imported it would take a fifth of the time.
gc.set_threshold(20_000, 20, 50)

# Variables that change what the package or its libraries do: proxies, colours, keys, clusters, jobs that this runs in.
_OF_THE_MACHINE = re.compile(
    r"(https?|all|no)_proxy|(FORCE|NO)_COLOR|CLICOLOR\w*|TTY_\w+|LINES|NETRC|PYTHONWARNINGS|(LOCAL_)?RANK|WORLD_SIZE|"
    r"(MASTER|DIST|RAY|SLURM|VERL|VLLM|HF|WANDB|OPENAI|INSPECT|PHYSIONET)_\w+|MEDIX_(?!GPU_TESTS)\w+",
    re.IGNORECASE,
)

# Now, not in pytest_configure: integration/conftest.py, imported before that, sets verl's platform for its tests.
for _name in filter(_OF_THE_MACHINE.fullmatch, list(os.environ)):
    del os.environ[_name]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--acceptance-summary", type=Path, help="keep this Markdown page up to date")


def pytest_configure(config: pytest.Config) -> None:
    # A background job of a shell starts with Ctrl-C ignored, and would hand that down to every command tested here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from hypothesis import HealthCheck, settings

    # A slow machine is no failure.
    settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any_machine")
    os.environ["COLUMNS"] = "120"  # rich reads the terminal's width once, when a module makes its console
    path: Path | None = config.getoption("--acceptance-summary")
    if path is not None:
        from tests.support.acceptance_page import AcceptancePage

        config.pluginmanager.register(AcceptancePage(path.resolve()))


def pytest_collection_finish() -> None:
    """Keep the cycle collector away from what was collected."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _interpolations_are_parsed_once() -> Iterator[None]:
    """OmegaConf parses the same hundred interpolations at every composition, and only reads the trees."""
    from omegaconf.grammar_parser import parse  # not above, where the machine's variables are still set

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omegaconf.base.parse", functools.cache(parse))
        yield


@pytest.fixture(scope="session", autouse=True)
def _files_are_parsed_once() -> Iterator[None]:
    """Each composition reads the same fifty files."""
    from tests.support import configs

    with configs.files_parsed_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def _files_are_composed_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both processes of `-n 2` read what one of them composed."""
    from tests.support import configs

    own = tmp_path_factory.getbasetemp()
    configs.SHARED.append(own.parent / "composed" if "PYTEST_XDIST_WORKER" in os.environ else own / "composed")


_ROOT_LEVEL = logging.getLogger().level


@pytest.fixture(autouse=True)
def _root_logger() -> None:
    """verl's vLLM server and inspect-ai raise the level of the root logger and of pytest's own handlers for good."""
    root = logging.getLogger()
    root.setLevel(_ROOT_LEVEL)
    for handler in root.handlers:
        handler.setLevel(logging.NOTSET)
