"""The lenient parser of the paper's code and the strict parser, on the same replies."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.grammar import parse_completion
from medix_r1.public_grammar import parse_as_public
from tests.support.scaling import is_linear

THINK = "<thinking>a</thinking>"
GOOD = f"<X_RAY>{THINK}<answer>left lung</answer>"


@pytest.mark.parametrize(
    ("text", "modality", "answer", "public", "strict"),
    [
        (GOOD, "X_RAY", "left lung", True, True),
        ("Sure! " + GOOD, None, "left lung", True, False),
        (GOOD.removeprefix("<X_RAY>"), None, "left lung", True, False),
        (GOOD.replace(">a<", "><"), "X_RAY", "left lung", True, False),
        (GOOD + "<answer>heart</answer>", "X_RAY", "left lung", True, False),
        (f"<X_RAY>{THINK}\n\n<answer>left lung</answer>\n", "X_RAY", "left lung", True, True),
        (GOOD + " and more", "X_RAY", "left lung", False, False),
        (f"<X_RAY>{THINK} so <answer>left lung</answer>", "X_RAY", "left lung", False, False),
        ("left lung", None, "left lung", False, False),
        ("<X_RAY> left lung", None, "<X_RAY>left lung", False, False),
        ("<answer>left</answer><answer>right</answer>", None, "left", False, False),
        (f"<X_RAY>{THINK}<answer>left lung", "X_RAY", f"<X_RAY>{THINK}<answer>left lung", False, False),
        (f"<X_RAY><CT_SCAN>{THINK}<answer>b</answer>", None, "b", True, False),
        (GOOD.replace("thinking", "think"), None, "left lung", False, False),
        ("", None, "", False, False),
    ],
)
def test_public_and_strict(text, modality, answer, public, strict):
    """The public code accepts a preamble, a missing tag, an empty think block and several answers."""
    parsed = parse_as_public(text, think_element="thinking")

    assert (parsed.modality, parsed.answer, parsed.well_formed) == (modality, answer, public)
    assert parse_completion(text, think_element="thinking").well_formed is strict


PIECES = st.sampled_from(
    ["<think>", "</think>", "<thinking>", "</thinking>", "<answer>", "</answer>", "<X_RAY>", "<", ">", " ", "\n", "5"]
)


@given(
    st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=20)), st.sampled_from(["think", "thinking"])
)
def test_any_text_gives_a_defined_result_and_the_format_is_the_pattern(text, element):
    parsed = parse_as_public(text, think_element=element)

    assert parsed.answer is not None
    start = text.find(f"<{element}>")
    pattern = rf"<{element}>.*?</{element}>\s*<answer>.*?</answer>\s*"
    assert parsed.well_formed == bool(start >= 0 and re.fullmatch(pattern, text[start:], re.DOTALL))


@pytest.mark.parametrize("unit", ["<", "<think>", "</think>", "<think></think>", "</think> ", "<answer>", "</answer>"])
def test_hostile_text_takes_time_in_proportion_to_its_length(unit):
    texts = {size: "<think>" + unit * (size // len(unit)) + "</answer>" for size in (100_000, 400_000)}

    assert is_linear(lambda size: parse_as_public(texts[size], think_element="think"), 100_000)
