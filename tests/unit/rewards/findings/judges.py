"""Judges of findings by rule, which stand in for a model in tests and in the figures of docs/reports.md."""

from __future__ import annotations

from medix_r1.models.judge import Question, Verdict
from medix_r1.rewards.findings.clashes import clash, topic
from medix_r1.rewards.findings.sentences import sentences
from tests.unit.rewards.cases import ScriptedJudge


class LexicalJudge(ScriptedJudge):
    """Says that a report has a finding when a sentence has all words of its topic, and nothing clashes."""

    async def judge(self, question: Question) -> Verdict:
        self.asked.append(question)
        yes = question.prompt != "finding_contradicted" and any(
            bool(topic(question.prediction))
            and topic(question.prediction) <= topic(sentence)
            and clash(question.prediction, sentence) is None
            for sentence in sentences(question.reference)
        )
        return Verdict(yes, "YES" if yes else "NO")
