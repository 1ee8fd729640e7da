"""Each training gives the same bits twice; a few steps show a random number or a sum that depends on the run.

That is promised for one kind of processor, and the thread count is the training's own, whatever its caller has set.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medix_r1.demo.rows import labels as label_file
from tools.nano.judge import model as judge_model
from tools.nano.judge import training as judge_training
from tools.nano.policy import model as policy_model
from tools.nano.policy import warm_start

STEPS = 3
State = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A few threads may be set, also on one core."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def twice(trained: Callable[[], tuple[Any, Any]]) -> tuple[State, State, Any]:
    """Train with one thread set by the caller, and with three; returns both weights and the tokenizer."""
    states, tokenizer = [], None
    for threads in (1, 3):
        torch.set_num_threads(threads)
        model, tokenizer = trained()
        assert torch.get_num_threads() == threads, "what the caller had set is put back"
        states.append(model.state_dict())
    return states[0], states[1], tokenizer


def differing(first: State, second: State) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


def row(number: int) -> dict[str, Any]:
    """A row of the demo with noise for a picture."""
    pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(picture := io.BytesIO(), "PNG")
    info = {"question": "Which bone is seen?", "question_type": "bone", "answers": ["ribs"], "modality": "X_RAY"}
    return {"images": [{"bytes": picture.getvalue()}], "extra_info": info}


def test_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEARN", "HEDGE"):
        monkeypatch.setattr(warm_start, name, dataclasses.replace(getattr(warm_start, name), steps=STEPS, batch=8))
    rows, labels = [row(number) for number in range(16)], label_file.load()

    first, second, tokenizer = twice(lambda: warm_start.trained(rows, labels))

    assert differing(first, second) == []
    assert differing(first, policy_model.make_model(tokenizer).state_dict())


def test_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_training, "STEPS", STEPS)
    monkeypatch.setattr(judge_training, "BATCH", 16)
    monkeypatch.setattr(judge_training, "_CALIBRATION_PAIRS", 400)

    first, second, tokenizer = twice(judge_training.trained)

    assert differing(first, second) == []
    assert differing(first, judge_model.make_model(tokenizer).state_dict())


@pytest.mark.parametrize("steps", ["policy", "judge"])
def test_each_step_takes_one_thread(steps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more, the sums' rounding depends on the processor and on the number."""
    counted: list[int] = []
    torch.set_num_threads(3)
    if steps == "policy":
        monkeypatch.setattr(warm_start, "LEARN", dataclasses.replace(warm_start.LEARN, steps=2, batch=2))
        monkeypatch.setattr(warm_start, "HEDGE", dataclasses.replace(warm_start.HEDGE, steps=1, batch=2))
        warm_start.trained([row(0), row(1)], label_file.load(), lambda _: counted.append(torch.get_num_threads()))
    else:
        monkeypatch.setattr(judge_training, "STEPS", 3)
        monkeypatch.setattr(judge_training, "_CALIBRATION_PAIRS", 200)
        judge_training.trained(lambda _: counted.append(torch.get_num_threads()))
    assert counted == [1, 1, 1]
