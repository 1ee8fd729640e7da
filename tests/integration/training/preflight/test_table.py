"""Wrong configs with their problems (wrong_configs.yaml), and right ones: every recipe, example and sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.training.preflight import checks
from tests.support.configs import unsettled
from tests.support.machine import demo_files, good_machine
from tests.support.problems import codes

TABLE = yaml.safe_load(Path(__file__).with_name("wrong_configs.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return demo_files(tmp_path_factory.mktemp("demo"))


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    good_machine(monkeypatch)
    monkeypatch.chdir(tmp_path)


def found(words: list[str], *, alone: bool = False) -> list[Problem]:
    """Every problem of a command line, in the way of `check`: Hydra's own where `alone`, else from a composed base."""
    try:
        composed = configs.composed_train(words) if alone else configs.settled(unsettled(*words))
    except ConfigError as error:
        return list(error.problems)
    return checks.problems_of(composed)


def test_there_are_enough_of_each():
    assert len(TABLE) >= 150
    assert len({code for row in TABLE for code in row["is"].values()}) >= 25


@pytest.mark.parametrize("row", TABLE, ids=[" ".join(row["set"]) for row in TABLE])
def test_a_wrong_config_has_its_problems(row, demo):
    words = ["experiment=nano_cpu", f"demo_dir={demo}", *row["set"]]

    problems = found(words, alone=row.get("alone", False))

    assert dict(codes(problems)) == row["is"]
    assert len(problems) == len(row["is"]), "one line each"
    assert not [problem for problem in problems if "\n" in str(problem)]
