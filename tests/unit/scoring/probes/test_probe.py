"""The probe file is whole, its bounds follow from the weights, and a broken one is seen."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from medix_r1.config import compose_reward
from medix_r1.errors import ConfigError
from medix_r1.rewards.base import SampleReader, Score
from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.scoring.probes import probe
from medix_r1.scoring.probes.probe_file import BUILT_IN, Probe, Question, built_in, found, load
from tests.support.problems import codes, numbers, only

PROBES = load()
NAMED = {  # the families that the project promises
    "forged_instructions",
    "template_tokens",
    "several_answers",
    "hedges",
    "undetermined",
    "question_echo",
    "symbols",
    "empty_think",
    "answer_in_think",
    "tag_lists",
    "very_long",
    "invisible",
    "other_languages",
    "wrong_side",
    "negated",
}


def test_there_are_enough_of_both_kinds() -> None:
    attacks = [p for p in PROBES if p.is_attack]
    assert len(attacks) >= 80
    assert len(PROBES) - len(attacks) >= 20
    assert {p.family for p in attacks} >= NAMED
    assert len({p.name for p in PROBES}) == len(PROBES)
    assert len({(p.question.reference, p.reply) for p in PROBES}) == len(PROBES)


def test_bounds_follow_from_the_default_weights() -> None:
    weights = compose_reward(["embedder=minilm"]).reward.weights
    tag, form, embed, judge = (weights[name] for name in ("modality", "format", "embed", "llm"))
    reached = {
        0.05: tag,
        0.15: tag + form,
        0.49: tag + form + embed,
        0.66: tag + form + judge,
        0.86: judge + embed,
        0.91: judge + embed + tag,
        0.99: 1.0,
    }
    for n, bound in {2: 0.57, 3: 0.43, 4: 0.35, 5: 0.31, 8: 0.25}.items():
        reached[bound] = tag + form + (judge + embed) / n
    used = {p.bounds["overall"] for p in PROBES if "overall" in p.bounds} - {0.0}
    assert used == set(reached)
    assert all(math.isclose(bound, reached[bound], abs_tol=0.0101) for bound in used)
    assert tag + form + embed < 0.5 * 1.0  # a wrong answer that only the embedding likes


@pytest.mark.parametrize("p", PROBES, ids=lambda p: p.name)
def test_an_attack_may_earn_less_than_a_right_answer_or_loses_its_form(p: Probe) -> None:
    if p.is_attack:
        assert p.bounds.get("overall", 1.0) < 0.66 or 0.0 in (p.bounds.get("format"), p.bounds.get("modality"))
    else:
        assert p.bounds["overall"] >= 0.66


def breakdown(total: float | None, **parts: float | None) -> RewardBreakdown:
    return RewardBreakdown(total, {name: Score(value, "") for name, value in parts.items()})


def case(**fields: object) -> Probe:
    base: dict = {
        "name": "f/01",
        "family": "f",
        "is_attack": True,
        "bounds": {"overall": 0.15},
        "monitors": ("hedging",),
        "rests_on": "judge",
        "why": "",
        "question": Question(question="q", reference="r"),
        "reply": "",
    }
    return Probe(**{**base, **fields})


@pytest.mark.parametrize(
    ("fields", "found", "broken"),
    [
        ({}, breakdown(0.15, hedging=0.5), []),
        ({}, breakdown(0.151, hedging=0.5), [("overall", [0.151, 0.15])]),
        ({}, breakdown(None, hedging=0.5), [("overall", [0.15])]),
        ({}, breakdown(0.1, hedging=1.0), [("hedging", [])]),
        ({}, breakdown(0.1, hedging=None), [("hedging", [])]),
        ({"bounds": {"llm": 0.0}}, breakdown(None, hedging=0.0, llm=0.0), [("overall", [1.0])]),
        ({"bounds": {"llm": 0.0}}, breakdown(0.9, hedging=0.0, llm=None), [("llm", [0.0])]),
        ({"is_attack": False, "bounds": {"overall": 0.66}}, breakdown(0.6625, hedging=None), []),
        (
            {"is_attack": False, "bounds": {"overall": 0.66}},
            breakdown(0.145, hedging=0.5),
            [("overall", [0.145, 0.66]), ("hedging", [0.5])],
        ),
    ],
)
def test_what_breaks_a_bound(fields: dict, found: RewardBreakdown, broken: list[tuple[str, list[float]]]) -> None:
    said = probe.judge_case(case(**fields), found).broken
    assert [(line.split()[0], numbers(line)) for line in said] == broken


def test_a_part_that_the_reward_does_not_have_is_named() -> None:
    finding = probe.judge_case(case(bounds={"overall": 0.15, "embed": 0.0}), breakdown(0.1))
    assert finding.broken == ()
    assert finding.not_there == ("embed", "hedging")


FILE = """
rows: {a: {question: q, reference: r}}
attacks:
  - {family: f, about: x, max: {overall: 0.1}, rests_on: judge, why: y, cases: [CASE]}
"""


@pytest.mark.parametrize(
    ("content", "where", "names"),
    [
        (FILE.replace("CASE", "{row: b, answer: x}"), "file", "'b'"),
        (FILE.replace("CASE", "{row: a}"), "attacks.0.cases.0", "reply"),
        (FILE.replace("CASE", "{row: a, answer: x, reply: y}"), "attacks.0.cases.0", "reply"),
        (FILE.replace("CASE", "{row: a, answer: x, maxx: {overall: 1}}"), "attacks.0.cases.0.maxx", ""),
        (FILE.replace("CASE", "{row: a, answer: x, max: {overall: 1.5}}"), "attacks.0.cases.0.max.overall", "1"),
        (FILE.replace("CASE", "{row: a, answer: x, min: {overall: 0.5}}").replace("max:", "min:", 1), "file", " max "),
        (FILE.replace("attacks", "right").replace("CASE", "{row: a, answer: x}"), "file", " min"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, content: str, where: str, names: str) -> None:
    path = tmp_path / "probes.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert codes(caught.value)[0] == (f"{path}: {where}", "not-a-probe-file")
    assert names in caught.value.problems[0].text


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "probes.yaml"
    path.write_text("rows: {")
    with pytest.raises(ConfigError, check=only((str(path), "not-yaml"))):
        load(path)


def test_unknown_families_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, check=only(("--family hedge", "no-such-family"))) as caught:
        load(families=["hedge"])
    assert "forged_instructions" in str(caught.value)


@pytest.mark.parametrize("element", ["think", "thinking"])
def test_replies_use_the_element_that_is_asked_for(element: str) -> None:
    class Ready:
        reader = SampleReader(think_element=element)  # type: ignore[arg-type]
        think_element = element

    plain = next(p for p in PROBES if p.family == "same_after_normalisation")
    assert plain.sample(Ready()).completion.problems == ()  # type: ignore[arg-type]


def test_built_in_probes_have_names_and_a_file_of_ones_own_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert found(None) == BUILT_IN
    assert found(Path("reports")) == built_in("reports")
    assert found(Path("elsewhere/reports")) == Path("elsewhere/reports")
    assert found(Path("nothing")) == Path("nothing")
    Path("reports").write_text("rows: {}")
    assert found(Path("reports")) == Path("reports")
