import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.grammar import (
    Completion,
    ModalityTag,
    Reference,
    _parse_any,
    _parse_plain,
    parse_completion,
    parse_reference,
)
from tests.support.scaling import is_linear

GOLDEN = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "completions.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['source']}: {case['name']}")
def test_golden_completion(case):
    parsed = parse_completion(
        case["completion"], think_element=case["think_element"], wants_modality=case["wants_modality"]
    )

    expected = case["expected"]
    assert (parsed.modality, parsed.think, parsed.answer) == (
        expected["modality"],
        expected["think"],
        expected["answer"],
    )
    assert parsed.well_formed is expected["well_formed"], parsed.problems
    if expected["problem"] is not None:
        assert any(expected["problem"] in problem for problem in parsed.problems), parsed.problems


def test_golden_cases_say_where_they_come_from_and_are_distinct():
    assert {case["source"].split(" ")[0] for case in GOLDEN} == {"paper", "upstream", "regression"}
    keys = {(case["completion"], case["think_element"], case["wants_modality"]) for case in GOLDEN}
    assert len(keys) == len(GOLDEN)


def test_every_modality_of_the_paper_is_a_tag():
    assert len(ModalityTag) == 16
    for tag in ModalityTag:
        assert parse_completion(f"<{tag}><think>a</think><answer>b</answer>").well_formed


PIECES = st.sampled_from(
    ["<think>", "</think>", "<thinking>", "<answer>", "</answer>", "<X_RAY>", "<", "/", ">", " ", "\n", "5", "ß"]
)


@given(st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=20)))
def test_any_text_gives_a_defined_result(text):
    for element in ("think", "thinking"):
        for wants_modality in (True, False):
            parsed = parse_completion(text, think_element=element, wants_modality=wants_modality)

            assert parsed.text == text
            assert parsed.well_formed == (not parsed.problems)
            assert len(set(parsed.problems)) == len(parsed.problems)
            if parsed.well_formed:
                assert parsed.think
                assert parsed.answer
                assert (parsed.modality in ModalityTag.__members__) is wants_modality
            for part in (parsed.think, parsed.answer):
                assert part is None or (part in text and part == part.strip())
    parse_reference(text)


BLOCK = st.text(alphabet="ab 5-<>/\n", max_size=5)
MARKS = st.sampled_from(["", "<X_RAY>", "<x_ray>", "<X>", "<think>", "</think>", "<thinking>", "</thinking>"])


@given(st.tuples(MARKS, BLOCK, MARKS, BLOCK, MARKS, BLOCK, BLOCK, BLOCK), st.sampled_from(["think", "thinking"]))
def test_the_short_way_for_plain_replies_says_what_the_long_one_says(parts, element):
    tag, before, opened, thought, closed, between, answer, after = parts
    for text in (
        f"{tag}{before}{opened}{thought}{closed}{between}<answer>{answer}</answer>{after}",
        f"<X_RAY>{before.strip('<>/ab-5')}<{element}>{thought}</{element}>\n<answer>{answer}</answer>",
    ):
        plain = _parse_plain(text, element)
        assert plain is None or plain == _parse_any(text, element, wants_modality=True)


def test_the_short_way_is_taken():
    assert _parse_plain("<CT_SCAN><think>a</think>\n<answer>b</answer>\n", "think") is not None


WORDS = st.text(alphabet="abc 5:/?.<>", min_size=1, max_size=12).filter(str.strip)
SPACE = st.text(alphabet=" \n\t\r", max_size=6)


@given(
    think=WORDS.filter(lambda text: any(c.isalnum() for c in text)),
    answer=WORDS,
    spaces=st.lists(SPACE, min_size=7, max_size=7),
)
def test_white_space_round_the_blocks_does_not_matter(think, answer, spaces):
    a, b, c, d, e, f, g = spaces
    tight = parse_completion(f"<X_RAY><think>{think}</think><answer>{answer}</answer>")
    loose = parse_completion(f"{a}<X_RAY>{b}<think>{c}{think}{d}</think>{e}<answer>{f}{answer}</answer>{g}")

    assert tight.well_formed
    assert (loose.modality, loose.think, loose.answer, loose.problems) == (
        tight.modality,
        tight.think,
        tight.answer,
        tight.problems,
    )


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "unit",
    ["<", "<think>", "</think>", "<answer>", "< ", " ", "<think", "<think >", "5 x ", "1 / ", "A_", "<A"],
)
def test_hostile_text_takes_time_in_proportion_to_its_length(unit):
    texts = {size: unit * (size // len(unit)) for size in (100_000, 400_000)}

    assert is_linear(lambda size: [read(texts[size]) for read in (parse_completion, parse_reference)], 100_000)


def test_hostile_text_is_still_taken_apart():
    assert parse_completion("<" * MEGABYTE).problems == parse_completion("").problems != ()
    assert parse_completion("<think>" * (MEGABYTE // 7)).answer is None


@pytest.mark.parametrize(
    ("text", "modality", "answer"),
    [
        ("<X_RAY>left lung", "X_RAY", "left lung"),
        ("<X_RAY>\nleft lung\n", "X_RAY", "left lung"),
        (" < ct_scan > 28 mm", "CT_SCAN", "28 mm"),
        ("left lung", None, "left lung"),  # upstream defect 8: an untagged reference is an IndexError there
        ("", None, ""),
        ("<X_RAY>", "X_RAY", ""),
        ("<HB>low", None, "<HB>low"),
        ("<5 mm", None, "<5 mm"),
        ("<5 mm> nodule", None, "<5 mm> nodule"),
        ("<think>a", None, "<think>a"),
    ],
)
def test_reference(text, modality, answer):
    assert parse_reference(text) == Reference(modality, answer)


def test_completion_is_well_formed_exactly_without_problems():
    assert Completion("", None, None, None, ()).well_formed
    assert not Completion("", None, None, None, ("x",)).well_formed
