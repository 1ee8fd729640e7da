"""The judge's pairs: what is held out is really absent from training, and labels do not contradict each other."""

from __future__ import annotations

import itertools
import re
from functools import cache

import pytest

from medix_r1.demo.rows import labels
from medix_r1.wording.spelling import normalize_answer
from tools.nano.judge import pairs as judge_pairs
from tools.nano.judge.families import Pair
from tools.nano.judge.own import accepted_with, demo_facts, polar_word
from tools.nano.judge.pairs import HELDOUT_QUOTA
from tools.nano.judge.phrases import TERM_KINDS, lexicon

SAMPLE = 30_000


@cache
def training_sample() -> tuple[Pair, ...]:
    return tuple(itertools.islice(judge_pairs.training_pairs(11), SAMPLE))


@cache
def training_text() -> str:
    texts = {normalize_answer(t) for p in training_sample() for t in (p.question, p.reference, p.prediction)}
    return "\n".join(sorted(texts))


def heldout_terms() -> list[str]:
    return [term for kind in TERM_KINDS for term in lexicon()["heldout"][kind]]


@pytest.mark.parametrize("term", heldout_terms())
def test_a_heldout_answer_is_in_no_training_pair(term: str) -> None:
    assert not re.search(rf"\b{re.escape(term)}s?\b", training_text())


def test_a_heldout_answer_is_not_an_answer_of_the_demo() -> None:
    own = "\n".join(a for kind in labels.load().question_types.values() for group in kind.facts.values() for a in group)
    assert [term for term in heldout_terms() if re.search(rf"\b{re.escape(term)}\b", own.casefold())] == []


@pytest.mark.parametrize("part", ["wrappers", "negations", "hedges", "alternatives", "corrections", "injections"])
def test_a_heldout_wording_is_in_no_training_pair(part: str) -> None:
    for pattern in lexicon()["heldout"][part]:
        words = re.escape(normalize_answer(pattern)).replace(r"\{a\}", ".+").replace(r"\{b\}", ".+")
        found = re.search(rf"^{words.replace(r'{c}', '.+')}$", training_text(), re.MULTILINE)
        assert found is None, f"{pattern!r} occurs in training: {found[0] if found else ''!r}"


def test_the_heldout_file_is_what_the_generator_makes() -> None:
    assert judge_pairs.read_pairs() == judge_pairs.heldout_pairs()


def test_the_heldout_file_is_large_and_hard_enough() -> None:
    pairs = judge_pairs.read_pairs()
    turned = [p for p in pairs if p.family in ("side", "negation") and not p.label]
    assert len(pairs) >= 600
    assert len(set(pairs)) == len(pairs)
    assert len(turned) >= len(pairs) / 3
    assert {p.family for p in pairs} == set(HELDOUT_QUOTA)
    assert judge_pairs.HELDOUT_FILE.stat().st_size < 200_000


def test_no_question_reference_and_prediction_have_two_labels() -> None:
    seen: dict[tuple[str, str, str], bool] = {}
    clashes = []
    for pair in (*judge_pairs.read_pairs(), *training_sample()):
        key = (pair.question, normalize_answer(pair.reference), normalize_answer(pair.prediction))
        if seen.setdefault(key, pair.label) != pair.label:
            clashes.append(key)
    # A made-up misspelling hits a real word now and then; a systematic contradiction would be hundreds.
    assert len(clashes) <= SAMPLE / 1000, clashes[:20]


def test_an_equal_prediction_is_never_refused() -> None:
    for pair in (*judge_pairs.read_pairs(), *training_sample()):
        assert pair.label or normalize_answer(pair.reference) != normalize_answer(pair.prediction), pair


def test_every_accepted_wording_of_the_demo_is_taught_for_every_other() -> None:
    own = {(p.reference, p.prediction): p.label for p in judge_pairs.own_pairs() if p.label}
    for fact in demo_facts():
        for group in fact.answers:
            assert all(own[a, b] for a in group for b in accepted_with(a, fact))


def test_the_stream_is_the_same_for_the_same_seed() -> None:
    first, second, other = (list(itertools.islice(judge_pairs.training_pairs(seed), 200)) for seed in (3, 3, 4))
    assert first == second != other


def test_training_leans_to_refusing() -> None:
    share = sum(p.label for p in training_sample()) / SAMPLE
    assert 0.38 < share < 0.5


@pytest.mark.parametrize(
    ("text", "is_polar"),
    [("yes", True), ("no fracture", True), ("doppler is absent", True), ("unstained", False), ("tibia", False)],
)
def test_polar_word(text: str, is_polar: bool) -> None:
    assert polar_word(text) is is_polar
