"""What the probe finds whatever judge and embedder say, recomputed; docs/hard_to_fool.md quotes these figures."""

from __future__ import annotations

import functools
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from omegaconf import DictConfig

from medix_r1.config import compose_reward
from medix_r1.rewards.base import SampleReader, Score
from medix_r1.rewards.build import build_reward
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.probes import probe
from medix_r1.scoring.probes.confident import OF_CONFIDENCE, probes_for
from medix_r1.scoring.probes.probe import Finding
from medix_r1.scoring.probes.probe_file import Probe, load
from tests.unit.rewards.cases import ScriptedEmbedder, ScriptedJudge

PROBES = load()
RULES = {p.name for p in PROBES if p.rests_on == "nothing"}
RECORD = Path(__file__).parents[3] / "benchmarks" / "results" / "probe.json"
LISTS = {"several_answers", "joined_otherwise", "listed_values", "shared_words", "more_than_the_list"}
OWN = {p.name for p in load(OF_CONFIDENCE)}
SAYINGS = list(itertools.product((True, False), (1.0, -1.0)))  # of the judge and of the embedder


@functools.cache
def composed(reward: str) -> DictConfig:
    return compose_reward([f"reward={reward}"])


async def found_with(reward: str, judge: bool, cosine: float, probes: Sequence[Probe] = PROBES) -> list[Finding]:
    settings = composed(reward).reward
    composite = build_reward(settings)
    composite.signals["llm"].judge = ScriptedJudge(judge)
    composite.signals["embed"].embedder = ScriptedEmbedder(cosine)
    ready = ReadyReward(composite, SampleReader.of(settings), settings.overlong, settings.think_element)
    return await probe.run(ready, probes, advance=lambda count: None)


async def broken(reward: str, judge: bool, cosine: float) -> dict[str, tuple[str, ...]]:
    return {one.probe.name: one.broken for one in await found_with(reward, judge, cosine) if one.broken}


@pytest.mark.parametrize(("judge", "cosine"), SAYINGS)
async def test_rules_hold_whatever_judge_and_embedder_say(judge: bool, cosine: float) -> None:
    assert not (await broken("composite", judge, cosine)).keys() & RULES


async def test_no_rule_stands_against_a_right_answer() -> None:
    found = await broken("composite", True, 1.0)

    assert {name: found[name] for p in PROBES if not p.is_attack and (name := p.name) in found} == {}


async def test_no_rule_takes_a_part_of_a_right_answer() -> None:
    found = await found_with("composite", True, 1.0)

    assert {one.probe.name: one.reasons for one in found if not one.probe.is_attack and one.overall != 1.0} == {}


async def test_an_embedder_that_likes_everything_is_asked_about_no_list() -> None:
    found = await broken("composite", False, 1.0)

    assert {name: why for name, why in found.items() if name.split("/")[0] in LISTS} == {}


@pytest.mark.parametrize("family", sorted(LISTS - {"several_answers"}))
async def test_what_a_rule_must_see_of_a_list_it_sees(family: str) -> None:
    found = await found_with("composite", True, 1.0)

    taken = {one.probe.name for one in found if one.probe.family == family and one.probe.bounds.get("embed") == 0}
    assert taken
    assert {one.probe.name for one in found if one.probe.name in taken and one.parts["embed"]} == set()


async def test_the_record_says_what_the_public_rules_break() -> None:
    found = [(await broken("paper", judge, cosine)).keys() & RULES for judge, cosine in SAYINGS]
    counted = Counter(name.split("/")[0] for name in set.intersection(*map(set, found)))
    record = json.loads(RECORD.read_text(encoding="utf-8"))

    assert record["paper_on_rules"]["families"] == counted


@functools.cache
def confident() -> tuple[Probe, ...]:
    return tuple(probes_for(composed("calibrated").reward))


@pytest.mark.parametrize(("judge", "cosine"), SAYINGS)
async def test_no_confidence_earns_more_than_its_bound(judge: bool, cosine: float) -> None:
    found = await found_with("calibrated", judge, cosine, confident())

    assert {one.probe.name: one.broken for one in found if one.broken and one.probe.rests_on == "nothing"} == {}
    assert not any(one.unscored or one.not_there for one in found if one.probe.name in OWN)


async def test_with_a_judge_that_sees_through_them_every_bound_on_a_confidence_holds() -> None:
    found = await found_with("calibrated", False, -1.0, confident())

    assert {one.probe.name: one.broken for one in found if one.broken and one.probe.is_attack} == {}


async def test_a_right_answer_that_says_so_earns_all() -> None:
    found = await found_with("calibrated", True, 1.0, confident())

    assert {one.probe.name: one.broken for one in found if one.broken and not one.probe.is_attack} == {}


async def test_a_reward_that_trusts_every_number_breaks_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the probes of unreadable confidences are not vain."""
    monkeypatch.setattr("medix_r1.rewards.calibration._NOTHING_SAID", Score(1.0, "trusted"))
    found = await found_with("calibrated", True, 1.0, confident())

    trusted = {one.probe.name for one in found if one.broken and one.probe.name in OWN}
    assert {name.split("/")[0] for name in trusted} >= {"unreadable_confidence", "misplaced_confidence"}
