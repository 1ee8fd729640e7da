import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.host.yaml_text import read_yaml
from medix_r1.models.verdict import Verdict, parse_verdict, strip_thinking, yes_probability

GOLDEN = read_yaml(Path(__file__).parents[1] / "golden" / "verdicts.yaml")
CASES = [
    (reply, verdict) for name, verdict in (("yes", True), ("no", False), ("unclear", None)) for reply in GOLDEN[name]
]


@pytest.mark.parametrize(("reply", "verdict"), CASES)
def test_a_verdict_is_read_where_there_is_no_doubt(reply, verdict):
    assert parse_verdict(reply) is verdict


@pytest.mark.parametrize(
    "reply", ["YES" * 100_000, "<think>" * 50_000, "*" * 100_000, "Answer " * 50_000, "{" * 50_000]
)
def test_a_long_hostile_reply_is_no_verdict(reply):
    assert parse_verdict(reply) is None


def test_only_a_leading_think_block_is_cut():
    assert strip_thinking("YES <think>") == "YES <think>"


SAID = "YES NO yes no not match the side differs / , . : ? ** <think> </think> Verdict: { maybe"
WORDS = st.sampled_from([*SAID.split(), "\n"])


@given(st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=60))
def test_a_verdict_holds_its_word_and_never_stands_after_another(text):
    verdict = parse_verdict(text)
    said = re.findall(r"[a-z]+", strip_thinking(text).lower())
    if verdict is not None:
        word = "yes" if verdict else "no"
        assert word in said
        assert set(said[: said.index(word)]) <= {"verdict", "match"}  # labels


def tokens(**logprobs):
    return [{"token": token, "logprob": logprob} for token, logprob in logprobs.items()]


def test_a_probability_is_the_share_of_yes():
    assert yes_probability(tokens(YES=math.log(0.6), NO=math.log(0.2), The=math.log(0.2))) == pytest.approx(0.75)


def test_spellings_are_added_up():
    top = [(" Yes", 0.2), ("yes", 0.1), ("YES", 0.3), ("▁No", 0.1), ("Ġno", 0.1), ("Nope", 0.2)]
    entries = [{"token": token, "logprob": math.log(p)} for token, p in top]

    assert yes_probability(entries) == pytest.approx(0.75)


def test_one_word_alone_is_certain():
    assert yes_probability(tokens(YES=-3.0, The=-0.1)) == 1.0
    assert yes_probability(tokens(NO=-3.0, The=-0.1)) == 0.0


@pytest.mark.parametrize("entries", [[], tokens(The=-0.1, Y=-0.2), tokens(YES=-math.inf)])
def test_neither_word_is_no_probability(entries):
    assert yes_probability(entries) is None


def test_the_score_of_a_verdict():
    assert (Verdict(True, "YES").score, Verdict(False, "NO").score, Verdict(True, "YES", 0.7).score) == (1.0, 0.0, 0.7)
