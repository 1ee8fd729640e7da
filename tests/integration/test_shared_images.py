"""For the images of a group verl gets what it works out itself for each rollout, features apart; with a real processor.

training/verl_plugin/test_pictures.py has the features.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput, AgentLoopWorker
from verl.utils import hf_processor, hf_tokenizer

from medix_r1.training.verl_plugin.patches import shared_images
from medix_r1.training.verl_plugin.patches.shared_images import SharedImages

REPLIES = ("<X_RAY>left", "<X_RAY><think>a longer reply</think><answer>right lung</answer>")


@pytest.fixture(scope="module")
def worker(nano_policy: Path) -> Any:
    """What the two functions take from an agent-loop worker; it counts what it does with images."""
    policy = str(nano_policy)
    processor = hf_processor(policy, trust_remote_code=False)
    seen: list[Any] = []
    images = processor.image_processor
    original = type(images).preprocess
    images.preprocess = lambda *given, **how: (seen.append(given), original(images, *given, **how))[1]
    tokenizer = hf_tokenizer(policy, trust_remote_code=False)
    return SimpleNamespace(
        processor=processor, tokenizer=tokenizer, _get_mm_processor_kwargs=lambda _: {}, seen=seen, images=images
    )


def rollout(worker: Any, pictures: list[Any], reply: str) -> tuple[Any, torch.Tensor]:
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which organ?"}]}
    text = worker.processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    prompt = worker.processor(text=[text], images=list(pictures), return_tensors="pt")["input_ids"][0].tolist()
    response = worker.tokenizer.encode(reply, add_special_tokens=False)
    output = AgentLoopOutput(
        prompt_ids=prompt,
        response_ids=response,
        response_mask=[1] * len(response),
        multi_modal_data={"images": pictures},
        metrics=AgentLoopMetrics(),
        mm_processor_kwargs={},
    )
    return output, torch.tensor(prompt + response)


def inputs_and_positions(worker: Any, compute: Any, output: Any, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    inputs = compute(worker, output, ids)
    mask = torch.ones_like(ids)
    positions = AgentLoopWorker._compute_position_ids(worker, ids[None], mask[None], inputs)
    return {**inputs, "positions": positions}


def test_a_group_gets_what_verl_works_out_for_each_and_its_images_are_processed_once(worker: Any) -> None:
    shared_images.install()
    ours = AgentLoopWorker._compute_multi_modal_inputs
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8))
    pictures = SharedImages([picture])
    rollouts = [rollout(worker, pictures, reply) for reply in REPLIES]
    expected = [inputs_and_positions(worker, ours.__wrapped__, *one) for one in rollouts]

    worker.seen.clear()
    found = [inputs_and_positions(worker, ours, *one) for one in rollouts for _ in range(2)]

    assert len(worker.seen) == 1
    assert expected[0]["positions"].shape != expected[1]["positions"].shape
    for wanted, *given in zip(expected, found[::2], found[1::2], strict=True):
        for one in given:
            assert one.keys() == wanted.keys() - {"pixel_values"}
            assert all(torch.equal(one[name], wanted[name]) for name in one)


def test_images_of_no_group_go_verls_own_way(worker: Any) -> None:
    shared_images.install()
    output, ids = rollout(worker, [Image.new("RGB", (96, 96))], REPLIES[0])

    worker.seen.clear()
    for _ in range(2):
        AgentLoopWorker._compute_multi_modal_inputs(worker, output, ids)

    assert len(worker.seen) == 2


def test_inputs_as_long_as_the_reply_are_not_shared_where_verl_keeps_them(worker: Any) -> None:
    """verl replaces `mm_token_type_ids` for mRoPE models only, which it knows by the processor's `get_rope_index`."""
    shared_images.install()
    plain = SimpleNamespace(**{**vars(worker), "processor": _WithoutRope(worker.processor)})
    pictures = SharedImages([Image.new("RGB", (96, 96))])
    found = [AgentLoopWorker._compute_multi_modal_inputs(plain, *rollout(worker, pictures, reply)) for reply in REPLIES]

    assert found[0]["mm_token_type_ids"].shape != found[1]["mm_token_type_ids"].shape


class _WithoutRope:
    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __call__(self, **given: Any) -> Any:
        return self._processor(**given)

    def __getattr__(self, name: str) -> Any:
        if name == "get_rope_index":
            raise AttributeError(name)
        return getattr(self._processor, name)
