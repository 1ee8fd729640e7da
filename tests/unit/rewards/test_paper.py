"""`reward=paper` gives what the paper's public reward function returned for the same replies.

The rows are values of that function (mbzuai-oryx/MediX-R1, 27 Feb 2026), run unchanged, with all-MiniLM-L6-v2 in place
of its embedder (`cosine`) and a rule in place of its judge: YES when the words of both texts have a Jaccard similarity
of at least 0.4.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from medix_r1 import prompts
from medix_r1.models.judge import Question, Verdict
from medix_r1.public_grammar import parse_public_reference
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.build import build_reward
from medix_r1.rewards.composite import CompositeReward
from tests.unit.rewards.cases import ScriptedEmbedder, ScriptedJudge
from tests.unit.rewards.test_build import settings

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "golden" / "public_reward.jsonl").read_text(encoding="utf-8").splitlines()
]
NAMES, WEIGHTS = ("format", "llm", "embed", "modality"), (0.1, 0.5175, 0.3375, 0.045)


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower()))


class JaccardJudge(ScriptedJudge):
    """The rule that stood in for the public function's judge."""

    async def judge(self, question: Question) -> Verdict:
        self.asked.append(question)
        given, wanted = words(question.prediction), words(question.reference)
        matches = bool(self.says) and len(given & wanted) >= 0.4 * len(given | wanted)
        return Verdict(matches, "YES" if matches else "NO")


def paper(judge: ScriptedJudge, embedder: ScriptedEmbedder) -> CompositeReward:
    reward = build_reward(settings("paper"))
    reward.signals["llm"].judge = judge
    reward.signals["embed"].embedder = embedder
    return reward


READER = SampleReader.of(settings("paper"))


def read(row: dict[str, Any]) -> Sample:
    return READER.read(row["completion"], reference=row["reference"], has_image=True, question="What is it?")


@pytest.mark.parametrize("expected", ["values", "judge_says_no"])
async def test_every_reply_scores_as_the_public_function_scores_it(expected: str) -> None:
    judge, embedder = JaccardJudge(), ScriptedEmbedder()
    reward, different = paper(judge, embedder), []
    for row in ROWS:
        judge.asked, judge.says, embedder.asked = [], expected == "values", []
        embedder.cosine = row.get("cosine", 0.0)
        scored = await reward.score(read(row))
        asked = [(question.prediction, question.reference) for question in judge.asked]
        found = [scored.parts[name].value for name in NAMES]
        total = math.fsum(weight * value for weight, value in zip(WEIGHTS, row[expected], strict=True))
        wanted = [tuple(row["asked"])] if "asked" in row else []
        same = found == row[expected] and asked == wanted == embedder.asked and scored.total == pytest.approx(total)
        if not same:
            different.append((row["id"], found, row[expected], asked))

    assert different == []


async def test_the_judge_sees_neither_question_nor_options() -> None:
    judge = JaccardJudge(True)
    row = {"completion": "<X_RAY><thinking>a</thinking><answer>some fluid</answer>", "reference": "<X_RAY>Fluid"}

    await paper(judge, ScriptedEmbedder()).score(read(row))

    assert judge.asked == [Question("", "Fluid", "some fluid", prompt="match_paper")]
    assert "Question" not in prompts.fill(prompts.load("match_paper"), reference="Fluid", prediction="some fluid")


@pytest.mark.parametrize(
    ("reference", "modality", "answer"),
    [
        ("<X_RAY>\nleft lung.", "X_RAY", "left lung"),
        ("<histology> x", "HISTOLOGY", "x"),
        ("left lung", None, "left lung"),
        ("p > 0.05", "P ", "0.05"),  # an accident of the public code: the first > ends the tag
    ],
)
def test_references_are_split_at_the_first_sign(reference: str, modality: str | None, answer: str) -> None:
    parsed = parse_public_reference(reference)

    assert (parsed.modality, parsed.answer) == (modality, answer)
