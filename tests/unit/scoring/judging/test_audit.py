"""The audit leaves out answers that rules alone decide: on these, two judges cannot disagree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from medix_r1.config import compose_reward
from medix_r1.rewards.base import Sample, SampleReader, Score
from medix_r1.rewards.build import build_rules
from medix_r1.scoring.judging import audit

QUESTION = {"question": "Which body part is shown?", "reference": "chest"}
RULED = ["Chest.", "?", "word " * 3000, "Which body part is shown?"]  # equal, nothing, too long, the question
LISTS = ["chest, abdomen", "chest or abdomen"]
OPEN = ["thorax", "leg"]


async def audited(tmp_path: Path, overrides: Sequence[str], signal: str, second: Sequence[str] = ()) -> audit.Audit:
    """Recorded verdicts against labels; neither needs a server."""
    rows = [
        {**QUESTION, "prediction": text, "parts": {signal: 0.0}, "label": False} for text in (*RULED, *LISTS, *OPEN)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    nodes = [compose_reward(overrides).reward, *([compose_reward(second).reward] if second else [])]
    return await audit.audit(
        file,
        SampleReader.of(nodes[0]),
        audit.RecordedRater(signal),
        audit.LabelRater(),
        signals=[rules for node in nodes if (rules := build_rules(node, signal))],
        worst=5,
        in_flight=3,
        with_images=False,
        advance=lambda count: None,
    )


@pytest.mark.parametrize(
    ("overrides", "signal", "ruled"),
    [
        (["judge=remote"], "llm", len(RULED)),
        (["judge=remote"], "embed", len(RULED) + len(LISTS)),
        (["judge=remote", "reward.signals.embed.refuse_alternatives=false"], "embed", len(RULED)),
        (["judge=remote", "reward.signals.llm.refuse_echo=false"], "llm", len(RULED) - 1),
        (["judge=remote", "reward=llm_only"], "embed", 0),  # a signal that is not there has no rules
    ],
)
async def test_what_rules_decide_is_left_out(tmp_path: Path, overrides: list[str], signal: str, ruled: int) -> None:
    found = await audited(tmp_path, overrides, signal)

    assert (found.rows, found.by_rule) == (8, ruled)
    assert found.agreement is not None
    assert found.agreement.count == 8 - ruled


class OldSignal:
    """A plug-in written before `settled` became `rule_score`."""

    def settled(self, sample: Sample) -> Score | None:
        return Score(1.0, "by rule") if sample.question == "a" else None

    def score(self, sample: Sample) -> Score:
        return Score(0.5, "asked")


def test_the_old_name_of_rule_score_still_works() -> None:
    read = SampleReader().read
    easy, hard = (read("", reference="b", has_image=False, question=question) for question in "ab")

    with pytest.warns(DeprecationWarning, match="OldSignal"):
        assert audit.has_rule_score(OldSignal(), easy)
    with pytest.warns(DeprecationWarning, match="rule_score"):
        assert not audit.has_rule_score(OldSignal(), hard)


async def test_what_rules_of_either_side_decide_is_left_out(tmp_path: Path) -> None:
    lenient, strict = ["judge=remote", "judge.longest_answer=null"], ["judge=nano"]

    assert (await audited(tmp_path, lenient, "llm")).by_rule == len(RULED) - 1
    assert (await audited(tmp_path, lenient, "llm", strict)).by_rule == len(RULED)
