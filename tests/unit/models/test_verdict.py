import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.models.verdict import Verdict, parse_verdict, strip_thinking, yes_probability


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("YES", True),
        ("NO", False),
        ("yes", True),
        (" \n No", False),
        ("YES.", True),
        ("**YES**", True),
        ('"NO"', False),
        ("(yes)", True),
        ("_No_", False),
        ("Yes, they mean the same.", True),
        ("Yes. There is no difference.", True),
        ("No - the side differs", False),
        ("NO, YES", None),  # upstream defect 2: there YES is looked for anywhere
        ("YES, NO", None),
        ("YES/NO", None),
        ("Yes and no", None),
        ("yes or no", None),
        ("NO/YES", None),
        ("No, yes", None),
        ("YES|NO", None),
        ("**YES** / **NO**", None),
        ("YES?", None),
        ("**Yes**?", None),
        ("Yes-ish", None),
        ("YES1", None),
        ("Yesé", None),
        ("No’t", None),
        ("Eyes", None),
        ("NOT YES", None),
        ("YESTERDAY", None),
        ("None", None),
        ("The answer is YES", None),
        ("1. YES", None),
        ("", None),
        ("   ", None),
        ("?", None),
        ("<think>maybe YES</think>NO", False),
        ("<think>a</think>\n\nYES", True),
        ("the template opened the block</think>NO", False),
        ("<think>NO</think>I think </think> YES", True),
        ("<think>it could be YES", None),
        (" <think>NO", None),
        ("<think>NO</think>", None),
        ("YES" * 100_000, None),
    ],
)
def test_a_verdict_is_the_first_word(reply, verdict):
    assert parse_verdict(reply) is verdict


def test_only_a_leading_think_block_is_cut():
    assert strip_thinking("YES <think>") == "YES <think>"


@given(st.text(max_size=80))
def test_a_reply_that_starts_with_neither_word_is_never_a_verdict(text):
    first = text.lstrip().lstrip("*_\"'([").upper()
    if not first.startswith(("YES", "NO")) and "</think>" not in text:
        assert parse_verdict(text) is None


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
