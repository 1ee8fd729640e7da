"""The probes of reports: bounds that rest on rules hold with any judge, the others with one that reads."""

import asyncio

import pytest

from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.findings import FindingsReward
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.probes import probe, probe_file
from tests.unit.rewards.cases import ScriptedJudge
from tests.unit.rewards.findings.judges import LexicalJudge

PROBES = probe_file.load(probe_file.built_in("reports"))
JUDGES = {"yes": lambda: ScriptedJudge(True), "no": lambda: ScriptedJudge(False), "reads": LexicalJudge}


def found(judge: str, probes):
    signal = FindingsReward(judge=JUDGES[judge]())
    composite = CompositeReward(signals={"findings": signal}, weights={"findings": 1.0})
    ready = ReadyReward(composite, SampleReader(think_element="think"), "reward", "think")
    return asyncio.run(probe.run(ready, probes, advance=lambda _: None))


@pytest.mark.parametrize("judge", JUDGES)
def test_bounds_that_rest_on_rules_hold_with_any_judge(judge):
    results = found(judge, [one for one in PROBES if one.rests_on == "nothing"])

    assert len(results) >= 20
    assert [(one.probe.name, one.broken) for one in results if one.broken] == []


def test_the_other_bounds_hold_with_a_judge_that_reads():
    results = found("reads", PROBES)

    assert len(results) >= 40
    assert [(one.probe.name, one.broken, one.reasons) for one in results if one.broken] == []


def test_a_judge_that_says_yes_to_everything_breaks_what_rests_on_it():
    """The probes do measure the judge."""
    results = found("yes", [one for one in PROBES if one.rests_on == "judge" and one.is_attack])

    assert sum(bool(one.broken) for one in results) >= 3
