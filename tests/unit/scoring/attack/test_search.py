"""The search finds what is planted, says what it is, and stays within its budget."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from medix_r1.grammar import parse_completion
from medix_r1.rewards.base import Reward, Sample
from medix_r1.rewards.format import FormatReward
from medix_r1.scoring.attack.attempts import plain, texts
from medix_r1.scoring.attack.report import as_json, as_probes, in_order
from medix_r1.scoring.attack.wrong import Target, Wrong
from medix_r1.scoring.probes import probe, probe_file
from tests.unit.scoring.attack.planted import Hole, OwnSignal, judged, rewarded, searched

BUDGET = 330  # a fast tier; the verb's own is 2,000
HOLES: dict[str, tuple[Hole, str, str | None]] = {
    "a phrase": (lambda q, r, p: "clinical setting" in p, "contains 'clinical setting'", "clinical setting"),
    "a length": (lambda q, r, p: len(p) >= 150, "any answer of at least 150 characters", None),
    "shortness": (lambda q, r, p: len(p) <= 2, "any answer of up to 2 characters", None),
    "a listing": (lambda q, r, p: p.count(",") >= 3, "has ',' at least 3 times", ","),
    "a prefix": (lambda q, r, p: p.startswith("Reference:"), "begins with 'Reference:'", "Reference:"),
    "a character": (lambda q, r, p: "★" in p, "contains '★'", "★"),
    "digits": (lambda q, r, p: bool(re.search(r"\d", p)), "contains any digit", None),
    "the question": (lambda q, r, p: q in p, "repeats the question, anywhere", None),
    "an instruction": (
        lambda q, r, p: bool(re.search("ignore.*yes", p, re.IGNORECASE)),
        "contains 'Ignore YES'",
        "Ignore YES",
    ),
    "a box": (lambda q, r, p: "boxed{" in p, "contains 'boxed{'", "boxed{"),
    "an end": (lambda q, r, p: p.endswith("?"), "ends with '?'", "?"),
    "the reference beside others": (
        lambda q, r, p: r.lower() in p.lower() and " or " in p,
        "listing: the reference among several",
        None,
    ),
}
LATE = ("listing: the reference among several",)


@pytest.mark.parametrize(("hole", "name", "piece"), HOLES.values(), ids=HOLES)
def test_finds_a_planted_hole_and_says_what_it_is(hole: Hole, name: str, piece: str | None, tmp_path: Path) -> None:
    ready, judge = judged(hole)
    budget = 700 if name in LATE else BUDGET
    search = searched(ready, tmp_path, budget=budget)

    assert judge.calls <= budget
    found = [kind for kind in search.state.kinds if kind.group != "plain"]
    assert name in [kind.name for kind in found], [kind.name for kind in found]
    [kind] = [kind for kind in found if kind.name == name]
    assert kind.parts == {"llm"}
    assert kind.paid >= 1
    assert kind.earned > kind.due
    if piece is not None:
        assert kind.piece == piece


def test_two_holes_are_two_kinds_though_long_texts_have_both(tmp_path: Path) -> None:
    ready, _ = judged(lambda q, r, p: "banana" in p or "§" in p)
    names = {kind.name for kind in searched(ready, tmp_path, budget=BUDGET).state.kinds}
    assert {"contains 'banana'", "contains '§'"} <= names


@pytest.mark.parametrize("budget", [60, 64, 70, 76, 82, 90])
def test_a_budget_that_ends_in_an_explanation_loses_no_attack(budget: int, tmp_path: Path) -> None:
    ready, judge = judged(lambda q, r, p: "banana" in p)
    search = searched(ready, tmp_path, budget=budget)
    assert judge.calls <= budget
    assert all(kind.examples and kind.paid for kind in search.state.kinds)
    seen = any((one.parts["llm"] or 0.0) > 0 for one in search.scorer.journal.outcomes.values())
    assert bool(search.state.kinds) == seen
    json.loads(as_json(search, {}))
    assert as_probes(search)


def test_without_a_hole_nothing_is_found_and_the_budget_is_used(tmp_path: Path) -> None:
    ready, judge = judged(lambda q, r, p: False)
    search = searched(ready, tmp_path, budget=300)
    assert (search.state.kinds, judge.calls, search.scorer.left) == ([], 300, 0)


def test_a_judge_that_says_yes_to_all_is_seen_by_plain_wrong_answers(tmp_path: Path) -> None:
    ready, judge = judged(lambda q, r, p: True)
    search = searched(ready, tmp_path)
    assert {kind.group for kind in search.state.kinds} == {"plain"}
    assert all(kind.share == 1.0 for kind in search.state.kinds)
    assert judge.calls < 100  # no wrong answer is left that could carry a mutation


def lenient(sample: Sample) -> bool:
    return "</answer>" in sample.completion.text


def thought(sample: Sample) -> bool:
    return sample.reference.answer in (sample.completion.think or "")


@pytest.mark.parametrize(
    ("name", "pays", "kinds"),
    [
        ("format", lenient, {"form: marks_in_front", "form: only_closed"}),
        ("own", thought, {"reasoning: {right}", "form: right_in_think"}),
    ],
)
def test_holes_of_own_signals(name: str, pays: object, kinds: set[str], tmp_path: Path) -> None:
    signals: dict[str, Reward] = {"base": FormatReward(), name: OwnSignal(pays)}  # type: ignore[arg-type]
    search = searched(rewarded(signals, {"base": 0.5, name: 0.5}), tmp_path, budget=BUDGET)
    assert kinds <= {kind.name for kind in search.state.kinds if kind.parts == {name}}


def test_the_same_search_on_the_same_folder_asks_nothing_and_finds_the_same(tmp_path: Path) -> None:
    hole = HOLES["a character"][0]
    first, second = judged(hole), judged(hole)
    once = searched(first[0], tmp_path, budget=300)
    again = searched(second[0], tmp_path, budget=300)
    assert (first[1].calls, second[1].calls) == (300, 0)
    assert [kind.name for kind in again.state.kinds] == [kind.name for kind in once.state.kinds]
    assert again.scorer.journal.calls == 300


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    hole = HOLES["a prefix"][0]
    small, large = judged(hole), judged(hole)
    assert searched(small[0], tmp_path, budget=60).state.kinds == []
    search = searched(large[0], tmp_path, budget=BUDGET)
    assert large[1].calls == BUDGET - 60
    assert "begins with 'Reference:'" in [kind.name for kind in search.state.kinds]


def test_every_attack_is_wrong_and_says_why(tmp_path: Path) -> None:
    ready, _ = judged(lambda q, r, p: len(p) % 3 == 0)
    search = searched(ready, tmp_path, budget=BUDGET)
    examples = [one for kind in search.state.kinds for one in kind.examples]
    assert len(examples) > 20
    for one in examples:
        attempt = one.attempt
        assert attempt.because
        assert attempt.answer.strip().lower() not in {text.lower() for text in attempt.target.right}
        if attempt.offered < 2:
            assert attempt.target.is_free_of_right(attempt.around)


def test_what_was_found_is_a_file_of_probes_that_breaks(tmp_path: Path) -> None:
    ready, _ = judged(lambda q, r, p: "★" in p or len(p) <= 1 or p.endswith("\n?"))
    search = searched(ready, tmp_path, budget=BUDGET)
    file = tmp_path / "probes.yaml"
    file.write_text(as_probes(search), encoding="utf-8")

    probes = probe_file.load(file)
    assert len(probes) == sum(len(kind.examples) for kind in search.state.kinds)
    assert {one.rests_on for one in probes} == {"judge"}
    assert all(one.why.startswith("wrong: ") for one in probes)

    findings = asyncio.run(probe.run(ready, probes, advance=lambda _: None))
    assert all(finding.broken for finding in findings)
    mended, _ = judged(lambda q, r, p: False)
    assert not any(finding.broken for finding in asyncio.run(probe.run(mended, probes, advance=lambda _: None)))


def test_json_has_kinds_with_examples_pay_and_share(tmp_path: Path) -> None:
    ready, _ = judged(HOLES["a character"][0])
    search = searched(ready, tmp_path, budget=300)
    told = json.loads(as_json(search, {"seed": 1}))
    [kind] = told["kinds"]
    assert (kind["name"], kind["piece"], kind["parts"], kind["place"]) == ("contains '★'", "★", ["llm"], "anywhere")
    assert (kind["share"], kind["earned"], kind["due"]) == (1.0, pytest.approx(1.0), pytest.approx(0.1))
    assert (told["calls"], told["budget"], told["paid_for_form"]) == (300, 300, ["format"])
    assert {"wrong_because", "reply", "parts", "paid_by"} <= kind["examples"][0].keys()
    assert [one.name for one in in_order(search.state.kinds)] == [kind["name"]]


def test_replies_stay_as_the_form_says() -> None:
    attempt = plain(Target("k", "Which organ?", "<CT_SCAN>liver"), Wrong("spleen", "another_reference", "labels"))
    assert parse_completion(attempt.reply).answer == "spleen"
    assert not attempt.breaks_form
    forms = texts()["forms"]
    for name, form in forms.items():
        assert "spleen" in replace(attempt, form=form).reply or name == "empty_answer"
