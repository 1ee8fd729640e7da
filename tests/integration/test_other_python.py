"""Functions that a factory makes, and functions of another Python environment, which has none of our packages."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from medix_r1.errors import ConfigError, RewardError
from medix_r1.rewards.adapters import TrlReward, VerlReward
from tests.support.problems import coded, only
from tests.unit.rewards.cases import reply, sample

CASE = sample(reply("left lung"), "<X_RAY>left lung")
_PACKAGE = """
import sys

def make(share, of="completions"):
    def reward(completions, ground_truth):
        assert not any(name.partition(".")[0] in ("medix_r1", "numpy", "omegaconf") for name in sys.modules)
        return [share * (completion == truth) for completion, truth in zip(completions, ground_truth)]
    return reward

def plain(completions, **columns):
    return [0.5 if "prompts" in columns and "answer" in columns else 0.0 for _ in completions]

def with_tokens(completions, completion_ids):
    return [0.0]

def make_nothing():
    return "nothing"

NUMBER = 3
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with a package of its own and without ours."""
    folder = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (Path(packages) / "metrics_of_others.py").write_text(_PACKAGE, encoding="utf-8")
    return str(folder / "bin" / "python")


async def test_another_python_makes_the_function_and_answers(python):
    signal = TrlReward(
        function="metrics_of_others:make", factory={"share": 1.5}, python=python, part="answer", rescale=[0, 3]
    )

    async with contextlib.aclosing(signal):
        right, wrong = await signal.score(CASE), await signal.score(sample(reply("heart"), "<X_RAY>left lung"))

    assert (right.value, wrong.value) == (0.5, 0.0)


async def test_a_function_of_another_python_gets_the_columns_that_it_takes(python):
    async with contextlib.aclosing(TrlReward(function="metrics_of_others:plain", python=python)) as signal:
        assert (await signal.score(CASE)).value == 0.5


@pytest.mark.parametrize("timeout", [60.0, None])
async def test_a_factory_of_this_environment_works_in_a_process_and_in_a_thread(tmp_path, timeout):
    file = tmp_path / "mine.py"
    file.write_text("def make(share):\n    return lambda completions, answer: [share] * len(completions)\n")

    async with contextlib.aclosing(
        TrlReward(function=f"{file}:make", factory={"share": 0.25}, timeout=timeout)
    ) as signal:
        assert (await signal.score(CASE)).value == 0.25


async def test_a_file_is_loaded_by_another_python(python, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import metrics_of_others\n\ndef score(solution_str, **_):\n    return 0.1 * metrics_of_others.NUMBER\n"
    )

    async with contextlib.aclosing(VerlReward(function=f"{file}:score", python=python)) as signal:
        assert (await signal.score(CASE)).value == pytest.approx(0.3)


async def test_what_a_factory_returns_must_be_a_function(python):
    signal = TrlReward(function="metrics_of_others:make_nothing", factory={}, python=python)

    async with contextlib.aclosing(signal):
        with pytest.raises(RewardError, check=coded("raised", "'nothing'")):
            await signal.score(CASE)


@pytest.mark.parametrize(
    ("settings", "key", "code"),
    [
        ({"function": "metrics_of_others:make", "factory": {"shard": 1}}, "factory", "arguments-do-not-fit"),
        ({"function": "metrics_of_others:make", "factory": [1]}, "factory", "not-a-mapping"),
        ({"function": "metrics_of_others:with_tokens"}, "function", "arguments-do-not-fit"),
        ({"function": "metrics_of_others:nothing_there"}, "function", "not-loadable"),
        ({"function": "no_such_module_anywhere:f"}, "function", "not-loadable"),
        ({"function": "metrics_of_others"}, "function", "not-module-and-name"),
        ({"function": "metrics_of_others:NUMBER"}, "function", "not-a-function"),
        ({"function": "metrics_of_others:plain", "timeout": None}, "timeout", "out-of-range"),
        ({"function": "metrics_of_others:plain", "python": "/no/such/python"}, "python", "no-such-file"),
        ({"function": "metrics_of_others:plain", "python": "/tmp"}, "python", "no-such-file"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_called(python, settings, key, code):
    with pytest.raises(ConfigError, check=only((key, code))):
        TrlReward(**{"python": python, **settings})
