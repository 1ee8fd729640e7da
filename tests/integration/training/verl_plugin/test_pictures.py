"""Ranks get the features that verl would have sent, bit by bit, from pixels that are stored once a prompt."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
import torch
import transfer_queue as tq
from PIL import Image
from tensordict import TensorDict
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopMetrics,
    AgentLoopOutput,
    AgentLoopWorker,
    DictConfigWrap,
)
from verl.utils import hf_processor, hf_tokenizer
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.rollout.replica import TokenOutput

from medix_r1.config import compose_train
from medix_r1.demo.rows import labels
from medix_r1.images import picture_room
from medix_r1.training.preflight.machine import host_memory
from medix_r1.training.verl_plugin import pictures
from medix_r1.training.verl_plugin.agent_loop import SeededSingleTurnAgentLoop
from medix_r1.training.verl_plugin.patches import shared_images
from medix_r1.training.verl_plugin.patches.shared_images import PICTURES, SharedImages
from medix_r1.training.verl_plugin.patches.stored_pictures import with_features
from tools.nano.twins import build_twin

SIZES = [
    [(96, 96)],
    [(64, 160)],
    [(96, 128), (160, 64), (33, 47)],
    [(33, 47)],
    [(101, 99)],
]  # (height, width) of a prompt's pictures


@pytest.fixture(scope="module")
def transfer_queue() -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    tq.init()
    yield
    tq.close()
    ray.shutdown()


@pytest.fixture(scope="module")
def worker(nano_policy: Path) -> Any:
    """What `_compute_multi_modal_inputs` takes from an agent-loop worker."""
    return worker_with(str(nano_policy))


@pytest.fixture(scope="module", params=["qwen3_vl", "qwen3_vl_moe", "qwen2_5_vl"])
def of_a_backbone(request: pytest.FixtureRequest, nano_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same for each kind of backbone that verl can train, by the processor of its nano twin."""
    if request.param == "qwen3_vl":
        return worker_with(str(nano_policy))
    folder = tmp_path_factory.mktemp("twin") / request.param
    build_twin(folder, request.param, labels.load())
    return worker_with(str(folder))


def worker_with(folder: str) -> Any:
    shared_images.install()
    return SimpleNamespace(
        processor=hf_processor(folder, trust_remote_code=False),
        tokenizer=hf_tokenizer(folder, trust_remote_code=False),
        _get_mm_processor_kwargs=lambda _: {},
    )


def made(sizes: list[tuple[int, int]], seed: int) -> list[Image.Image]:
    random = np.random.default_rng(seed)
    return [Image.fromarray(random.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in sizes]


def rollout(worker: Any, images: list[Any]) -> tuple[AgentLoopOutput, torch.Tensor]:
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": "Which organ?"}]
    text = worker.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    prompt = worker.processor(text=[text], images=list(images), return_tensors="pt")["input_ids"][0]
    output = AgentLoopOutput(
        prompt_ids=prompt.tolist(),
        response_ids=[],
        response_mask=[],
        multi_modal_data={"images": images},
        metrics=AgentLoopMetrics(),
        mm_processor_kwargs={},
    )
    return output, prompt


def test_features_of_the_rank_are_those_of_verl(of_a_backbone: Any, transfer_queue: None) -> None:
    worker = of_a_backbone
    compute = AgentLoopWorker._compute_multi_modal_inputs
    groups = []
    for number, sizes in enumerate(SIZES):
        images = SharedImages(made(sizes, number))
        images.key = f"step000001-prompt{number:06d}"
        groups.append((images, *rollout(worker, images)))
    wanted = [compute.__wrapped__(worker, output, ids) for _, output, ids in groups]
    carried = [compute(worker, output, ids) for _, output, ids in groups]

    async def store() -> None:
        for images, _, _ in groups:
            await asyncio.gather(images.store(), images.store())

    asyncio.run(store())
    keys = [f"{images.key}_0_0" for images, _, _ in groups]
    fields = list_of_dict_to_tensordict([{"multi_modal_inputs": row} for row in carried])
    tq.kv_batch_put(keys=keys, partition_id="train", fields=fields, tags=[{}] * len(keys))
    through = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["multi_modal_inputs"])
    rows = [getattr(row, "data", row) for row in through["multi_modal_inputs"]]

    found = with_features([*rows, {}, rows[0]], pictures.PictureReader(worker.processor))

    assert not any(name.startswith("pixel_") for row in rows for name in row)
    assert found[len(rows)] == {}
    for given, expected in zip([*found[: len(rows)], found[-1]], [*wanted, wanted[0]], strict=True):
        assert given is not None
        assert given.keys() == expected.keys()
        for name, value in expected.items():
            assert given[name].dtype == value.dtype
            assert torch.equal(given[name], value), name


def test_vllm_gets_arrays_that_give_the_same_features(of_a_backbone: Any, transfer_queue: None) -> None:
    """It runs the same processor; the arrays lie in Ray's store and are copied for nobody."""
    processor = of_a_backbone.processor
    for number, sizes in enumerate(SIZES):
        images = SharedImages(made(sizes, number))
        arrays = ray.get(images.in_store())
        assert not any(array.flags.writeable or array.flags.owndata for array in arrays)
        text = [processor.image_token * len(images)]
        wanted = processor(text=text, images=list(images), return_tensors="pt")
        given = processor(text=text, images=list(arrays), return_tensors="pt")
        assert given.keys() == wanted.keys()
        assert all(torch.equal(given[name], wanted[name]) for name in wanted)


class Replies:
    """In place of verl's client of vLLM: notes who is on the way, and gives a short reply."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.most = 0
        self.given: list[Any] = []

    async def generate(self, *, request_id: str, image_data: Any, **_: Any) -> TokenOutput:
        group = request_id.split("#")[0]
        self.running[group] += 1
        self.most = max(self.most, len(+self.running))
        self.given.append(ray.get(image_data)[0].shape)
        await asyncio.sleep(0.05)
        self.running[group] -= 1
        return TokenOutput(token_ids=[20, 21], log_probs=[-1.0, -1.0])


async def test_groups_go_through_verls_own_loop_in_turn(
    worker: Any, nano_policy: Path, transfer_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose_train(["experiment=nano_cpu", f"actor_rollout_ref.model.path={nano_policy}"])
    monkeypatch.setattr(picture_room, "CACHES", 2 * 24 * 96 * 96 / (0.1 * picture_room.GIB))  # room for two pictures
    vllm = Replies()

    def rollout_of(prompt: int, session: int, file: bytes) -> Any:
        loop = SeededSingleTurnAgentLoop(
            trainer_config=DictConfigWrap(config),
            server_manager=vllm,
            tokenizer=worker.tokenizer,
            processor=worker.processor,
            dataset_cls=RLHFDataset,
            data_config=DictConfigWrap(config.data),
            hf_model_type="qwen3_vl",
        )
        parts = [{"type": "image", "bytes": file, "path": None}, {"type": "text", "text": "Which organ?"}]
        return loop.run(
            {},
            uid=f"step000001-prompt00000{prompt}",
            session_id=session,
            raw_prompt=[{"role": "user", "content": parts}],
        )

    files = []
    for image in made([(96, 96)] * 6, 0):
        image.save(file := io.BytesIO(), "PNG")
        files.append(file.getvalue())
    outputs = await asyncio.gather(*(rollout_of(n, k, file) for n, file in enumerate(files) for k in range(3)))

    assert [output.response_ids for output in outputs] == [[20, 21]] * 18
    assert vllm.given == [(96, 96, 3)] * 18
    assert vllm.most == 2


def test_pictures_of_other_prompts_are_deleted(transfer_queue: None) -> None:
    for key in ("step000002-prompt000000", "step000002-prompt000001"):
        asyncio.run(pictures.put(key, made([(32, 32)], 0)))
    pictures.clear(kept={"step000002-prompt000001"})
    assert set(tq.kv_list(pictures.PARTITION)[pictures.PARTITION]) == {"step000002-prompt000001"}
    pictures.clear(kept=())
    pictures.clear(kept=())


def test_a_prompt_is_fetched_once_while_it_is_cached(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def get(keys: list[str], partition_id: str, select_fields: list[str]) -> TensorDict:
        asked.append(keys)
        return TensorDict({"pixels": torch.zeros(len(keys), 3 * 32 * 32, dtype=torch.uint8)}, batch_size=len(keys))

    monkeypatch.setattr(tq, "kv_batch_get", get)
    first, second, third = (pictures.StoredPictures(key, ((32, 32),), ("pixel_values",), {}) for key in ("a", "b", "c"))
    reader = pictures.PictureReader(worker.processor, cached_bytes=2 * first.pixels)
    reader.features([first, second, first])
    reader.features([first])
    reader.features([third])
    reader.features([second])

    assert asked == [["a", "b"], ["c"], ["b"]]


def test_a_row_is_scored_with_its_pictures_at_hand_and_stored_without(transfer_queue: None) -> None:
    """The pixels are there before verl stores the rollout, also where the reply came with its reward."""
    images = SharedImages(made([(32, 64)], 0))
    images.key = "step000003-prompt000000"
    chat = [{"role": "user", "content": [{"type": "image", "bytes": b"a file"}, {"type": "text", "text": "Which?"}]}]
    seen: list[dict[str, Any]] = []

    async def score(self: Any, outputs: list[Any], kwargs: dict[str, Any]) -> None:
        seen.append(kwargs)

    row = {"raw_prompt": chat, "uid": images.key}
    compute = shared_images._pictures_apart(score)
    asyncio.run(compute(None, [SimpleNamespace(multi_modal_data={"images": images})], row))

    assert ray.get(seen[0][shared_images.CHAT]) == chat
    assert seen[0]["raw_prompt"] == row["raw_prompt"] == shared_images.without_pictures(chat)
    assert set(tq.kv_list(pictures.PARTITION)[pictures.PARTITION]) == {images.key}
    pictures.clear(kept=())


def test_validation_stores_no_pixels(worker: Any) -> None:
    images = SharedImages(made([(96, 96)], 0))
    carried = AgentLoopWorker._compute_multi_modal_inputs(worker, *rollout(worker, images))
    asyncio.run(images.store())

    assert PICTURES not in carried
    assert not any(name.startswith("pixel_") for name in carried)


def test_what_is_no_plain_picture_goes_verls_way(worker: Any) -> None:
    images = SharedImages([image.convert("L") for image in made([(96, 96)], 0)])
    images.key = "step000001-prompt000000"
    assert "pixel_values" in AgentLoopWorker._compute_multi_modal_inputs(worker, *rollout(worker, images))


def test_the_estimate_of_a_nodes_memory_knows_the_size_of_the_cache() -> None:
    assert pictures.CACHED_BYTES == host_memory.PICTURE_CACHE
