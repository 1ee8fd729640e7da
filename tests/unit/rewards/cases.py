"""What the reward tests share: a sample from two strings, and the composite with the paper's weights."""

from __future__ import annotations

from pathlib import Path

from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.host.yaml_text import read_yaml
from medix_r1.models.judge import Question, Verdict
from medix_r1.models.verdict import OpenQuestion
from medix_r1.rewards.base import Reward, Sample, Score
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.embed import EmbeddingReward
from medix_r1.rewards.format import FormatReward
from medix_r1.rewards.llm import JudgeReward
from medix_r1.rewards.modality import ModalityReward
from medix_r1.rewards.monitors.exact import ExactMatch

WEIGHTS = read_yaml(Path(__file__).parents[3] / "configs/reward/composite.yaml")["weights"]


class ScriptedJudge:
    """A fake judge client: returns or raises what the test gives it, and records its questions."""

    def __init__(self, says: bool | float | Exception = False) -> None:
        self.says = says
        self.asked: list[Question] = []

    async def judge(self, question: Question) -> Verdict:
        self.asked.append(question)
        if isinstance(self.says, Exception):
            raise self.says
        if isinstance(self.says, bool):
            return Verdict(self.says, "YES" if self.says else "NO")
        return Verdict(self.says >= 0.5, "YES" if self.says >= 0.5 else "NO", self.says)

    async def write(self, question: OpenQuestion) -> str:
        raise AssertionError("no group was scored")

    def statistics(self) -> dict[str, float]:
        return {}

    async def aclose(self) -> None: ...


class ScriptedEmbedder:
    """A fake embedder client, like `ScriptedJudge`."""

    def __init__(self, cosine: float | Exception = 0.0) -> None:
        self.cosine = cosine
        self.asked: list[tuple[str, str]] = []

    async def similarity(self, prediction: str, reference: str) -> float:
        self.asked.append((prediction, reference))
        if isinstance(self.cosine, Exception):
            raise self.cosine
        return self.cosine

    def statistics(self) -> dict[str, float]:
        return {}

    def versions(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None: ...


def reply(answer: str, tag: str = "X_RAY") -> str:
    return f"<{tag}><think>It is so.</think><answer>{answer}</answer>"


def sample(completion: str, reference: str, *, has_image: bool = True, **fields: object) -> Sample:
    parsed = parse_completion(completion, wants_modality=has_image)
    return Sample(parsed, parse_reference(reference), has_image=has_image, **fields)  # type: ignore[arg-type]


def composite(judge: ScriptedJudge, embedder: ScriptedEmbedder, weights=WEIGHTS) -> CompositeReward:
    signals: dict[str, Reward | None] = {
        "llm": JudgeReward(judge=judge),
        "embed": EmbeddingReward(embedder=embedder),
        "format": FormatReward(),
        "modality": ModalityReward(),
        "exact": ExactMatch(),
    }
    return CompositeReward(signals=signals, weights=weights)


async def scored(signal: Reward, case: Sample) -> Score:
    """Score a sample with a signal, plain or async."""
    result = signal.score(case)
    return result if isinstance(result, Score) else await result
