"""Every example runs: the custom reward composes from its own folder and scores with its own class."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate

from medix_r1.config import compose_train
from medix_r1.grammar import Reference, parse_completion
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.build import build_reward, reward_problems
from medix_r1.rewards.composite import weight_problems

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_no_example_is_forgotten() -> None:
    assert [path.name for path in EXAMPLES.iterdir() if path.is_dir()] == ["custom_reward"]


async def test_custom_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "custom_reward"))
    folder = EXAMPLES / "custom_reward" / "configs"
    config = compose_train(["experiment=nano_cpu", "reward=brief"], config_dirs=[folder])
    assert weight_problems(dict(config.reward.weights), dict(config.reward.signals)) == []
    signal = instantiate(config.reward.signals.brevity)
    scores = []
    for answer in ("left lung", "a very long answer that goes on and on and on"):
        completion = parse_completion(f"<X_RAY><think>t</think><answer>{answer}</answer>")
        scores.append((await signal.score(Sample(completion, Reference("X_RAY", "left lung")))).value)
    assert scores[0] == 1.0
    assert scores[1] < 0.5
    assert "brevity" in sys.modules


async def test_functions_of_other_trainers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "custom_reward"))
    folder = EXAMPLES / "custom_reward" / "configs"
    config = compose_train(["experiment=nano_cpu", "reward=ported"], config_dirs=[folder])
    assert reward_problems(config.reward) == []
    reward = build_reward(config.reward)
    reader = SampleReader.of(config.reward)
    right = reader.read(
        "<X_RAY><think>t</think><answer>left lung</answer>", reference="<X_RAY>left lung", has_image=True
    )
    wrong = reader.read(
        "<CT_SCAN><think></think><answer>left lung</answer>", reference="<X_RAY>left lung", has_image=True
    )
    untagged = reader.read("<think>t</think><answer>left lung</answer>", reference="left lung", has_image=False)

    scored = [await reward.score(sample) for sample in (right, wrong, untagged)]

    assert [breakdown.parts["named"].value for breakdown in scored] == [1.0, 0.0, None]
    assert [breakdown.parts["thought"].value for breakdown in scored] == [1.0, 0.0, 1.0]
    assert [breakdown.total for breakdown in scored] == pytest.approx([1.0, 0.855, 1.0])
    assert scored[0].parts["thought"].reason == "characters 1.0"
