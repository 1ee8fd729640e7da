"""Own words of `data difficulty`, and those of the reward."""

import pytest

from medix_r1.difficulty.settings import split
from medix_r1.errors import ConfigError
from tests.support.problems import codes


def test_own_words_are_taken_out():
    settings, others = split(["model=m", "judge=nano", "k=4", "rows=null", "reward.gate=format", "temperature=0.7"])

    assert (settings.model, settings.k, settings.rows, settings.temperature) == ("m", 4, None, 0.7)
    assert others == ["judge=nano", "reward.gate=format"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], [("model", "missing")]),
        (["model=m", "k=1"], [("k", "out-of-range")]),
        (
            ["model=m", "k=many", "temperature=0", "top_p=2"],
            [(key, "out-of-range") for key in ("k", "temperature", "top_p")],
        ),
        (["model=m", "rows=0", "batch=1e3"], [("rows", "out-of-range"), ("batch", "out-of-range")]),
        (["model=m", "server=tpu"], [("server", "not-a-choice")]),
        (["model=m", "base_url=localhost:8000"], [("base_url", "not-an-address")]),
        (["model=m", "temperature=nan"], [("temperature", "out-of-range")]),
    ],
)
def test_all_problems_together(words, wanted):
    with pytest.raises(ConfigError) as caught:
        split(words)
    assert codes(caught.value) == wanted
