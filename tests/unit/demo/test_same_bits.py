"""Both trainings give the same bits twice; a few steps show a random number or a sum that depends on the run."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medix_r1.demo import judge_model, judge_training, nano_model, warm_start
from medix_r1.demo import labels as label_file
from medix_r1.demo.batches import EncodedRows
from medix_r1.demo.tokenizer import make_tokenizer

STEPS = 3
State = dict[str, torch.Tensor]


def differing(first: State, second: State) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


def row(number: int) -> dict[str, Any]:
    """A row of the demo with noise for a picture."""
    pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(picture := io.BytesIO(), "PNG")
    info = {"question": "Which bone is seen?", "question_type": "bone", "answers": ["ribs"], "modality": "X_RAY"}
    return {"images": [{"bytes": picture.getvalue()}], "extra_info": info}


def test_the_policy() -> None:
    labels = label_file.load()
    tokenizer = make_tokenizer(labels)
    rows = EncodedRows([row(number) for number in range(16)], nano_model.make_processor(tokenizer))

    def trained() -> State:
        model = nano_model.make_model(tokenizer)
        for phase in (warm_start.LEARN, warm_start.HEDGE):
            warm_start.train(model, rows, labels, dataclasses.replace(phase, steps=STEPS, batch=8))
        return model.state_dict()

    first = trained()
    assert differing(first, trained()) == []
    assert differing(first, nano_model.make_model(tokenizer).state_dict())


def test_the_judge_also_when_it_gets_a_second_thread_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a build of both models, where the judge takes the other core once the policy is done."""
    monkeypatch.setattr(judge_training, "STEPS", STEPS)
    monkeypatch.setattr(judge_training, "BATCH", 16)
    monkeypatch.setattr(judge_training, "_CALIBRATION_PAIRS", 400)
    tokenizer = judge_model.make_tokenizer()

    def trained(threads: int) -> State:
        model = judge_model.make_model(tokenizer)
        judge_training.train(model, tokenizer, lambda _: torch.set_num_threads(threads))
        return model.state_dict()

    first = trained(1)
    assert differing(first, trained(2)) == []
    assert differing(first, judge_model.make_model(tokenizer).state_dict())
