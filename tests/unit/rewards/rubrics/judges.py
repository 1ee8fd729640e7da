"""Judges of the tests: they answer by a rule, and count what they are asked."""

import re
from collections.abc import Callable

from medix_r1.errors import JudgeRejected, JudgeUnavailable
from medix_r1.models.verdict import OpenQuestion, Question, Verdict

Rule = Callable[[str, str], bool]  # criterion, text of the reply -> met
_NUMBERED = re.compile(r"^(\d+)\. (.*)$", re.MULTILINE)


def by_words(criterion: str, text: str) -> bool:
    """Met when the last word of the criterion is in the text."""
    return criterion.split()[-1].lower() in re.findall(r"\w+", text.lower())


class RuleJudge:
    """Takes one question a call; it never answers `lost` criteria, and at those in `down` the server is gone."""

    def __init__(self, rule: Rule = by_words, *, lost: tuple[str, ...] = (), down: tuple[str, ...] = ()) -> None:
        self.rule, self.lost, self.down = rule, lost, down
        self.asked: list[Question] = []

    async def judge(self, question: Question) -> Verdict:
        self.asked.append(question)
        if question.reference in self.lost:
            raise JudgeRejected("no verdict", code="no-verdict")
        if question.reference in self.down:
            raise JudgeUnavailable("gone", code="gone")
        met = self.rule(question.reference, question.prediction)
        return Verdict(met, "YES, it is there" if met else "NO")

    def statistics(self) -> dict[str, float]:
        return {"calls": float(len(self.asked))}

    async def aclose(self) -> None: ...


class WritingJudge(RuleJudge):
    """Takes several criteria in a call, too; `leaning` gives a batch other verdicts than single questions."""

    def __init__(self, rule: Rule = by_words, *, leaning: Rule | None = None) -> None:
        super().__init__(rule)
        self.leaning = leaning or rule
        self.written: list[str] = []
        self.garbled = False

    async def write(self, question: OpenQuestion) -> str:
        self.written.append(question.text)
        reply = question.text.split("<reply>")[1].split("</reply>")[0]
        listed = _NUMBERED.findall(question.text)
        text = "\n".join(f"{number} {'YES' if self.leaning(one, reply) else 'NO'}" for number, one in listed)
        text = "I would say so." if self.garbled else text
        if not question.reads(text):
            raise JudgeRejected("unreadable", code="no-verdict")
        return text
