"""The attacks on rubrics: those that rules hold back earn nothing more, whatever judge is asked."""

import pytest

from medix_r1.errors import ConfigError
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.rubrics.signal import RubricReward
from medix_r1.scoring.rubrics import probe
from medix_r1.scoring.rubrics.gullible import GullibleJudge
from tests.support.problems import codes
from tests.unit.rewards.rubrics.judges import RuleJudge

JUDGES = {
    "gullible": GullibleJudge,
    "says yes": lambda: RuleJudge(lambda criterion, text: True),
    "says no": lambda: RuleJudge(lambda criterion, text: False),
    "by length": lambda: RuleJudge(lambda criterion, text: len(text) > 80),
    "by hash": lambda: RuleJudge(lambda criterion, text: sum(map(ord, criterion + text)) % 3 == 0),
    "by a word": lambda: RuleJudge(lambda criterion, text: "criteria" in text.lower()),
}


async def outcomes(judge: object, *, strike: bool = True) -> list[probe.Outcome]:
    signal = RubricReward(judge=judge, strike=strike)  # type: ignore[arg-type]
    return await probe.run(probe.load(), signal, SampleReader(), "thinking")


def test_there_are_at_least_sixty_attacks_of_every_kind() -> None:
    families = {family.family: len(family.cases) for family in probe.load().families}
    assert sum(families.values()) >= 60
    assert {"recited_criteria", "contradictions", "claims", "instructions", "endless"} <= families.keys()


@pytest.mark.parametrize("name", JUDGES)
async def test_no_bound_that_rests_on_rules_breaks_with_any_judge(name) -> None:
    found = await outcomes(JUDGES[name]())
    assert [(one.family, one.number) for one in found if one.broken and one.rests_on == "rules"] == []


async def test_without_the_rules_the_same_attacks_pay_and_the_naive_mean_is_fooled() -> None:
    found = await outcomes(GullibleJudge(), strike=False)
    by_rules = [one for one in found if one.rests_on == "rules"]
    assert sum(one.broken for one in by_rules) > 30
    assert sum(one.fools_naive for one in by_rules) > 30


def test_an_unscored_attack_breaks_its_bound() -> None:
    one = probe.Outcome("f", 1, "judge", "x", None, 0.0, 1.0, 0.0, "lost")
    assert one.broken


@pytest.mark.parametrize(
    "text",
    [
        "rows: {}\nfamilies: [{family: a, about: b, rests_on: rules, cases: [{row: hip, answer: x}]}]",
        "rows: {hip: {question: q, plain: p, rubric: []}}\nfamilies: []",
        "rows: {}\nfamilies: [{family: a, about: b, rests_on: hope, cases: []}]",
    ],
)
def test_a_file_of_attacks_that_is_none(tmp_path, text) -> None:
    path = tmp_path / "attacks.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        probe.load(path)
    assert {code for _, code in codes(caught.value)} == {"not-an-attack-file"}
