"""A judge without a model that believes much: it stands in where no judge is, to show what rules alone hold back.

It is fooled by what is known to fool language models: words of a criterion without their sense, claims, instructions,
length. A real judge is better; none should be worse.
"""

from __future__ import annotations

import re

from medix_r1.models.verdict import Question, Verdict

_BELIEVED = re.compile(
    r"criteri|rubric|\bmet\b|kriterien|标准|\byes\b|verdict|full marks|score|judge|grader|evaluator|instruction|"
    r"override|excellent|everything|system",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_LONG = 1200  # characters that impress it
_SHARE = 0.3  # of a criterion's longer words


class GullibleJudge:
    """Says YES to claims, to long texts, and where a third of a criterion's longer words are in the text."""

    def __init__(self) -> None:
        self.calls = 0

    async def judge(self, question: Question) -> Verdict:
        self.calls += 1
        text, wanted = question.prediction, {word.lower() for word in _WORD.findall(question.reference)}
        there = wanted & {word.lower() for word in _WORD.findall(text)}
        met = bool(_BELIEVED.search(text)) or len(text) > _LONG or len(there) > _SHARE * len(wanted)
        return Verdict(met, "YES" if met else "NO")

    def statistics(self) -> dict[str, float]:
        return {"calls": float(self.calls)}

    async def aclose(self) -> None: ...
