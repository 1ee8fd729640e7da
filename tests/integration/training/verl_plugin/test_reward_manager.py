"""The manager between verl's rollout and the composite, with verl's own DataProto."""

import asyncio
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from verl import DataProto

from medix_r1.rewards.base import Score
from medix_r1.runs.folder import read_lines
from medix_r1.runs.samples_folder import SamplesFolder
from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.scoring.rows import Row
from medix_r1.training.verl_plugin.reward_manager import (
    CompositeRewardManager,
    encoded_images,
    training_step,
)
from medix_r1.training.verl_plugin.scorer import StepCounters

EOS = 0


class Tokenizer:
    """One token a character."""

    eos_token_id = EOS

    def decode(self, tokens, skip_special_tokens):
        assert skip_special_tokens
        return "".join(chr(token) for token in tokens if token != EOS)


class Asked:
    """A signal that looks at pictures and counts, as the judge does."""

    wants_images = True

    def __init__(self, *, fails: bool = False) -> None:
        self.samples, self.fails = [], fails

    async def score(self, sample):
        self.samples.append(sample)
        await asyncio.sleep(0)
        return Score(float("nan") if self.fails else 1.0, "asked")

    def statistics(self):
        return {"calls": float(len(self.samples)), "latency_p50": 0.25}


def manager(
    tmp_path: Path, overlong: str = "reward", fails: bool = False, cache: int | None = None
) -> CompositeRewardManager:
    signals = {
        "asked": {"_target_": f"{__name__}.Asked", "fails": fails},
        "format": {"_target_": "medix_r1.rewards.format.FormatReward"},
        "modality": {"_target_": "medix_r1.rewards.modality.ModalityReward"},
    }
    reward = {
        "signals": signals,
        "weights": {"asked": 0.5, "format": 0.25, "modality": 0.25},
        "weight_tables": {"source": {}, "modality": {}},
        "gate": None,
        "think_element": "think",
        "parser": "strict",
        "overlong": overlong,
        "overlong_cache": cache,
        "num_workers": 1,
    }
    node = {"reward": reward, "data": {"max_response_length": 80}, "run": {"dir": str(tmp_path)}}
    return CompositeRewardManager(OmegaConf.create(node), Tokenizer(), None)


PICTURE = b"\x89PNG not really"


EXTRA = {"question": "Which?", "choices": ["left lung", "heart"], "answers": None}


def trajectory(
    text: str, *, uid: str = "step000003-prompt000001", image: bool = True, ended: bool = True, extra=EXTRA
) -> DataProto:
    tokens = [ord(character) for character in text] + ([EOS] if ended else [])
    content = [{"type": "text", "text": "Which?"}] + ([{"type": "image", "bytes": PICTURE}] if image else [])
    row = {
        "uid": uid,
        "data_source": "vqa",
        "raw_prompt": [{"role": "user", "content": content}],
        "reward_model": {"ground_truth": "<X_RAY>left lung"},
        "extra_info": extra,
    }
    responses = torch.tensor([tokens], dtype=torch.int64)
    batch = {"responses": responses, "attention_mask": torch.ones(1, 3 + responses.shape[-1], dtype=torch.int64)}
    return DataProto.from_dict(
        tensors=batch, non_tensors={name: np.array([value], dtype=object) for name, value in row.items()}
    )


def carried(result: dict) -> ScoredRollout:
    """What the sampler gets of a result once verl has given it a key."""
    return ScoredRollout.from_verl(result["reward_extra_info"], key="step000003-prompt000001_2_0", tokens=4)


GOOD = "<X_RAY><think>a</think><answer>left lung</answer>"


async def test_every_sample_has_the_same_keys_and_nothing_is_nan(tmp_path):
    scorer = manager(tmp_path)

    results = [
        await scorer.run_single(trajectory(text, image=image))
        for text, image in [(GOOD, True), (GOOD.removeprefix("<X_RAY>"), False), ("", True), ("no marks", True)]
    ]

    infos = [result["reward_extra_info"] for result in results]
    assert {tuple(info) for info in infos} == {("asked", "format", "modality", "overall", "masked", "cut", "detail")}
    assert [result["reward_score"] for result in results] == pytest.approx([1.0, 1.0, 0.5, 0.5])
    assert infos[1]["modality"] is None
    assert carried(results[1]).weights == pytest.approx({"asked": 2 / 3, "format": 1 / 3, "modality": 0})
    assert "NaN" not in json.dumps(infos)


async def test_a_signal_gets_question_options_images_and_source(tmp_path):
    """Defects 5 and 13 of the public code: there the reward sees answer and reference only."""
    scorer = manager(tmp_path)

    await scorer.run_single(trajectory(GOOD))

    (sample,) = scorer._scorer._composite.signals["asked"].samples
    assert (sample.question, sample.choices, sample.images) == ("Which?", ("left lung", "heart"), (PICTURE,))
    assert (sample.source, sample.accepted, sample.has_image) == ("vqa", (), True)


async def test_a_broken_signal_masks_and_says_why(tmp_path):
    result = await manager(tmp_path, fails=True).run_single(trajectory(GOOD))

    info = result["reward_extra_info"]
    rollout = carried(result)
    assert (info["asked"], info["overall"], info["masked"]) == (None, None, 1.0)
    assert rollout.outage
    assert rollout.failure.startswith("asked: ")


@pytest.mark.parametrize(
    ("overlong", "overall", "masked"), [("reward", 0.5, 0.0), ("zero", 0.0, 0.0), ("mask", None, 1.0)]
)
async def test_a_cut_reply_is_rewarded_zeroed_or_masked_and_counted(tmp_path, overlong, overall, masked):
    result = await manager(tmp_path, overlong).run_single(trajectory("x" * 80, ended=False))

    info = result["reward_extra_info"]
    assert (info["overall"], info["masked"], info["cut"]) == (overall, masked, 1.0)
    short = await manager(tmp_path, overlong).run_single(trajectory("x" * 79))
    assert (short["reward_extra_info"]["overall"], short["reward_extra_info"]["cut"]) == (0.5, 0.0)


@pytest.mark.parametrize(("length", "overall"), [(59, 0.5), (60, 0.5), (70, 0.0), (79, -0.45), (80, -0.5)])
async def test_soft_punishment_takes_off_by_the_replys_length(tmp_path, length, overall):
    scorer = manager(tmp_path, "soft", cache=20)

    result = await scorer.run_single(trajectory("x" * length, ended=False))

    assert result["reward_score"] == pytest.approx(overall)
    assert carried(result).overall == pytest.approx(overall)
    assert carried(result).parts["asked"] == 1.0


async def test_the_samplers_side_reads_all_of_it(tmp_path):
    result = await manager(tmp_path).run_single(trajectory(GOOD))

    rollout = carried(result)

    assert rollout.parts == {"asked": 1.0, "format": 1.0, "modality": 1.0}
    assert rollout.weights == {"asked": 0.5, "format": 0.25, "modality": 0.25}
    assert (rollout.overall, rollout.gate_shut, rollout.masked) == (1.0, False, False)
    assert rollout.statistics == {"asked/calls": 1.0, "asked/latency_p50": 0.25}
    assert (rollout.key, rollout.uid, rollout.tokens) == ("step000003-prompt000001_2_0", "step000003-prompt000001", 4)
    assert (rollout.source, rollout.question, rollout.reference) == ("vqa", "Which?", "<X_RAY>left lung")
    assert (rollout.reply, rollout.answer, rollout.modality, rollout.think) == (GOOD, "left lung", "X_RAY", "a")
    assert (rollout.reasons["asked"], rollout.problems, rollout.image) == ("asked", (), True)
    assert (rollout.choices, rollout.accepted) == (("left lung", "heart"), ())
    assert 0.0 < rollout.seconds[0] <= rollout.seconds[1]
    assert (rollout.advantage, rollout.filtered) == (None, False)


@pytest.mark.parametrize(
    ("extra", "row_id", "split"),
    [
        ({"index": 3, "row_id": "view-3", "split": "test"}, "view-3", "test"),
        ({"index": 3}, "3", ""),
        ({}, "", ""),
        (None, "", ""),
    ],
)
async def test_a_row_is_named_by_its_id_or_else_its_index(tmp_path, extra, row_id, split):
    rollout = carried(await manager(tmp_path).run_single(trajectory(GOOD, extra=extra)))

    assert (rollout.row_id, rollout.split) == (row_id, split)


async def test_a_sample_holds_all_that_scoring_it_again_needs(tmp_path):
    """`medix-r1 reward score|audit|explain` read samples; without options the judge would be asked another question."""
    extra = {"question": "Which?", "choices": np.array(["left", "right"]), "answers": ["left", "the left one"]}
    rollout = carried(await manager(tmp_path).run_single(trajectory(GOOD, extra=extra)))
    SamplesFolder(tmp_path).write("train", 1, [rollout])

    (line,) = read_lines(tmp_path / "train" / "000001.jsonl")
    row = Row.model_validate_json(json.dumps(line))

    assert (row.completion, row.choices, row.accepted) == (GOOD, ("left", "right"), ("left", "the left one"))
    assert row.has_image


async def test_counters_are_of_the_step_and_the_last_reply_carries_them(tmp_path):
    scorer = manager(tmp_path)

    async def counted(uid: str, replies: int) -> list[Mapping[str, float]]:
        results = await asyncio.gather(*(scorer.run_single(trajectory(GOOD, uid=uid)) for _ in range(replies)))
        return [carried(result).statistics for result in results]

    first = await counted("step000001-prompt000000", 5)
    validation = await counted("9f8e-random", 3)
    second = await counted("step000002-prompt000000", 2)

    assert max(one.get("asked/calls", 0) for one in first) == 5
    assert validation == [{}, {}, {}]
    assert max(one.get("asked/calls", 0) for one in second) == 2


def test_not_every_reply_reads_the_counters(monkeypatch):
    reads = []
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    counters = StepCounters(lambda: reads.append(1) or {"calls": float(len(reads))})

    with counters.running("step1"):
        for _ in range(50):
            with counters.running("step1"):
                pass
            counters.so_far("step1")
        assert len(reads) == 2  # the beginning, and the first reply of this second
        clock[0] += 1.5
        counters.so_far("step1")
        assert len(reads) == 3
    assert counters.so_far("step1") == {"calls": 3.0}  # nobody else is running: the last one always reads


@pytest.mark.parametrize(
    ("uid", "step"),
    [("step000012-prompt000003", "step000012"), ("0b7e", None), ("", None)],
)
def test_training_step(uid, step):
    assert training_step({"uid": uid}) == step


def test_images_come_as_files_whatever_the_data_set_gave(tmp_path):
    picture = Image.new("RGB", (3, 2), "red")
    picture.save(tmp_path / "a.png")
    messages = [
        {"role": "user", "content": [{"type": "image", "bytes": PICTURE, "image": picture}, {"type": "text"}]},
        {"role": "user", "content": [{"type": "image", "image": picture}]},
        {"role": "user", "content": [{"type": "image", "image": f"file://{tmp_path / 'a.png'}"}]},
        {"role": "system", "content": "words only"},
    ]

    images = encoded_images(messages)

    assert images[0] == PICTURE
    assert Image.open(io.BytesIO(images[1])).size == (3, 2)
    assert images[2] == (tmp_path / "a.png").read_bytes()
    assert encoded_images(None) == ()
