"""What a reply near the length limit earns, by each choice of `reward.overlong`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.rewards.overlong import Overlong, cache_problems, overlong_problems, soft_punishment
from tests.support.problems import codes


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        *((tokens, 0.0) for tokens in (0, 1, 16383, 16384)),
        *((16384 + beyond, -beyond / 4096) for beyond in (1, 2048, 4095)),
        *((tokens, -1.0) for tokens in (20480, 20481, 10**9)),
    ],
)
def test_soft_punishment_at_its_borders_with_the_papers_lengths(tokens, expected):
    assert soft_punishment(tokens, limit=20480, cache=4096) == pytest.approx(expected, abs=0)


@given(st.integers(1, 10_000), st.data())
def test_soft_punishment_is_the_papers_formula_and_falls_with_length(limit, data):
    cache = data.draw(st.integers(1, limit))
    tokens = data.draw(st.integers(0, limit))
    free = limit - cache

    found = soft_punishment(tokens, limit=limit, cache=cache)

    assert found == pytest.approx(0.0 if tokens <= free else (free - tokens) / cache)
    assert soft_punishment(tokens + 1, limit=limit, cache=cache) <= found


@pytest.mark.parametrize(
    ("choice", "cut", "expected"),
    [
        *(("reward", cut, 0.5) for cut in (False, True)),
        *(("zero", cut, value) for cut, value in ((False, 0.5), (True, 0.0))),
        *(("mask", cut, value) for cut, value in ((False, 0.5), (True, None))),
        *(("soft", cut, -0.25) for cut in (False, True)),
    ],
)
def test_a_reply_gets_what_the_choice_says(choice, cut, expected):
    overlong = Overlong(choice, cache=20, limit=100)

    assert overlong.reward(0.5, cut=cut, tokens=95) == expected
    assert overlong.reward(None, cut=cut, tokens=95) is None


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"overlong": "reward"}, []),
        ({"overlong": "soft", "overlong_cache": 1}, []),
        ({"overlong": "sfot", "overlong_cache": 1}, [("reward.overlong", "not-a-choice")]),
        ({"overlong": "zero", "overlong_cache": 1}, [("reward.overlong_cache", "not-read")]),
        *(
            ({"overlong": "soft", "overlong_cache": cache}, [("reward.overlong_cache", "out-of-range")])
            for cache in (None, 0, -1, 1.5, "10", True)
        ),
        (
            {"overlong": "reward", "reward_kwargs": {"overlong_buffer_cfg": {"len": 10}}},
            [("reward.reward_kwargs", "not-read")],
        ),
    ],
)
def test_wrong_settings_are_named(node, expected):
    assert codes(overlong_problems(node)) == expected


@pytest.mark.parametrize(("cache", "wrong"), [(99, False), (100, True), (101, True), (None, False)])
def test_a_cache_as_long_as_the_reply_punishes_every_reply(cache, wrong):
    found = cache_problems({"overlong": "soft", "overlong_cache": cache}, 100)

    assert codes(found) == ([("reward.overlong_cache", "out-of-range")] if wrong else [])
    assert cache_problems({"overlong": "reward", "overlong_cache": cache}, 100) == []
    assert cache_problems({"overlong": "soft", "overlong_cache": cache}, None) == []
