"""Prompts with pictures enter generation as far as their features have room, in turn."""

import asyncio
import io

import pytest
from PIL import Image

from medix_r1.images import picture_room
from medix_r1.images.picture_room import BYTES_OF_A_PIXEL, GIB, PictureRoom
from tests.support.configs import composed


def chat(*sizes, **limits):
    parts = []
    for size in sizes:
        file = io.BytesIO()
        Image.new("RGB", size).save(file, "PNG")
        parts.append({"type": "image", "bytes": file.getvalue(), **limits})
    return [{"role": "system", "content": "text"}, {"role": "user", "content": [*parts, {"type": "text", "text": "?"}]}]


@pytest.mark.parametrize(
    ("messages", "pixels"),
    [
        (chat((30, 20)), 600),
        (chat((30, 20), (10, 10)), 700),
        (chat((30, 20), max_pixels=500), 500),
        (chat(), 0),
        ([{"role": "user", "content": [{"type": "image", "image": Image.new("L", (5, 4))}]}], 20),
    ],
)
def test_features_are_counted_from_headers(messages, pixels):
    assert picture_room.features(messages) == BYTES_OF_A_PIXEL * pixels


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (("experiment=nano_cpu",), 0.4 * GIB),  # one replica and one worker
        (("experiment=nano_cpu", "hardware=cpu2"), 0.8 * GIB),
        (("experiment=medix_r1_8b_grpo",), 4 * GIB * 4 / 8),  # replicas of two GPUs, eight workers
        (
            ("experiment=medix_r1_8b_grpo", "actor_rollout_ref.rollout.engine_kwargs.vllm.mm_processor_cache_gb=0"),
            8 * GIB,
        ),
    ],
)
def test_the_room_follows_vllms_cache(words, size):
    assert picture_room.size_of_a_worker(composed(*words)) == pytest.approx(size)


async def test_who_waits_enters_in_turn():
    room, entered = PictureRoom(10), []

    async def prompt(name, wanted, hold):
        given = await room.enter(wanted)
        entered.append(name)
        await hold.wait()
        room.leave(given)

    holds = {name: asyncio.Event() for name in "abcd"}
    tasks = {
        name: asyncio.create_task(prompt(name, wanted, holds[name]))
        for name, wanted in {"a": 6, "b": 4, "c": 5, "d": 1}.items()
    }
    await asyncio.sleep(0.01)
    assert entered == ["a", "b"]
    holds["b"].set()
    await asyncio.sleep(0.01)
    assert entered == ["a", "b"], "d would fit, and c comes first"
    holds["a"].set()
    await asyncio.sleep(0.01)
    assert entered == ["a", "b", "c", "d"]
    for hold in holds.values():
        hold.set()
    await asyncio.gather(*tasks.values())


async def test_a_prompt_larger_than_all_room_comes_in_alone():
    room = PictureRoom(10)
    small, large = await room.enter(1), asyncio.create_task(room.enter(99))
    await asyncio.sleep(0)
    assert not large.done()
    room.leave(small)
    assert await large == 10


async def test_one_that_gave_up_takes_no_room():
    room = PictureRoom(10)
    first, gone = await room.enter(10), asyncio.create_task(room.enter(10))
    await asyncio.sleep(0)
    gone.cancel()
    last = asyncio.create_task(room.enter(10))
    await asyncio.sleep(0)
    room.leave(first)
    assert await last == 10
