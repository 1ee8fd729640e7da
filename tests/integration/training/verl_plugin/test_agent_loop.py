import asyncio
import gc
import inspect
import pickle
import weakref
from collections import Counter
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from PIL import Image
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from medix_r1.images import picture_room
from medix_r1.training.verl_plugin.agent_loop import (
    NAME,
    SeededSingleTurnAgentLoop,
    register,
    rollout_identity,
    rollout_seed,
)
from medix_r1.training.verl_plugin.patches.shared_images import SharedImages

UID = "step000001-prompt000002"


def settings(seeding="rollout", mode="medix_sync"):
    """What the loop reads of a run's config."""
    rollout = {
        "tensor_model_parallel_size": 1,
        "agent": {"num_workers": 1},
        "engine_kwargs": {"vllm": {"mm_processor_cache_gb": 0.1}},
    }
    return OmegaConf.create(
        {
            "rollout": {"seeding": seeding},
            "trainer": {"v1": {"trainer_mode": mode}, "nnodes": 1, "n_gpus_per_node": 1},
            "actor_rollout_ref": {"rollout": rollout},
        }
    )


def test_seeds_of_a_group_differ_and_repeat():
    seeds = [rollout_seed(1, UID, session) for session in range(1000)]

    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [rollout_seed(1, UID, session) for session in range(1000)]


def test_a_seed_depends_on_run_prompt_and_rollout():
    base = rollout_seed(1, UID, 0)

    assert base not in {rollout_seed(2, UID, 0), rollout_seed(1, "step000001-prompt000003", 0), rollout_seed(1, UID, 1)}
    assert base == 1161509959  # a change of the rule changes every run


def test_a_training_rollout_is_called_by_our_uid():
    assert rollout_identity({"uid": UID, "session_id": "3", "data_source": "demo", "index": 4}) == (UID, 3)


def test_a_validation_rollout_is_called_by_its_row():
    """verl gives validation rows a random uid, which would be another seed in every run."""
    first = rollout_identity({"uid": "0f1e2d3c", "session_id": 1, "data_source": "demo", "index": 4})
    again = rollout_identity({"uid": "aabbccdd", "session_id": 1, "data_source": "demo", "index": 4})

    assert first == again == ("validation-demo-4", 1)
    assert rollout_identity({"data_source": "demo", "index": 5}) == ("validation-demo-5", 0)


async def test_the_seed_reaches_vllm_and_nothing_else_changes(monkeypatch):
    seen = {}

    async def run(self, sampling_params, **kwargs):
        seen.update(params=sampling_params, kwargs=kwargs)
        return "reply"

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop = object.__new__(SeededSingleTurnAgentLoop)
    loop.rollout_config, loop.server_manager, loop.config = type("Rollout", (), {"seed": 7}), None, settings()
    given = {"temperature": 1.0}
    row = {"uid": UID, "session_id": 2, "raw_prompt": []}

    assert await loop.run(given, **row) == "reply"

    assert seen == {"params": {"temperature": 1.0, "seed": rollout_seed(7, UID, 2)}, "kwargs": row}
    assert given == {"temperature": 1.0}

    loop.config = settings(seeding="none")
    assert await loop.run(given, **row) == "reply"
    assert seen["params"] == given


def test_verl_finds_it_by_name():
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    register()

    assert _agent_loop_registry[NAME] == {
        "_target_": "medix_r1.training.verl_plugin.agent_loop.SeededSingleTurnAgentLoop"
    }
    assert inspect.iscoroutinefunction(SeededSingleTurnAgentLoop.run)


class Preparing(SeededSingleTurnAgentLoop):
    """The loop on verl's own class, with the two preparations and the generation replaced by what is counted."""

    def __init__(self, prepared, hold):
        self.rollout_config, self.server_manager = SimpleNamespace(seed=7), None
        self.config = settings()
        self.prepared, self.hold = prepared, hold


@pytest.fixture
def prepared(monkeypatch):
    """Everything that verl's own loop was asked to prepare; without groups of earlier tests, collected or not."""
    SeededSingleTurnAgentLoop._groups.clear()
    seen = []

    async def read(self, messages):
        seen.append(("read", *(message["content"] for message in messages)))
        return {"images": [Image.new("RGB", (8, 8))]} if seen[-1] != ("read", "no image") else {}

    async def build(self, messages, **media):
        seen.append(("tokens", *(message["content"] for message in messages)))
        return [1, 2, 3]

    async def run(self, sampling_params, raw_prompt, **_):
        media = await self.process_multi_modal_info(raw_prompt)
        tokens = await self.ct_build_initial_tokens(raw_prompt, images=media.get("images"), videos=self.hold)
        return media, tokens

    monkeypatch.setattr(SingleTurnAgentLoop, "process_multi_modal_info", read)
    monkeypatch.setattr(SingleTurnAgentLoop, "ct_build_initial_tokens", build)
    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    return seen


def rollouts(prepared, uid, prompt=("question",), videos=None, count=5):
    loops = [Preparing(prepared, videos) for _ in range(count)]
    chat = [{"role": "user", "content": text} for text in prompt]
    return loops, [loop.run({}, uid=uid, session_id=i, raw_prompt=chat) for i, loop in enumerate(loops)]


async def test_a_group_reads_its_images_and_tokenises_its_prompt_once(prepared):
    _, running = rollouts(prepared, UID)
    (media, tokens), *others = await asyncio.gather(*running)

    assert prepared == [("read", "question"), ("tokens", "question")]
    assert isinstance(media["images"], SharedImages)
    assert media["images"].key == UID
    assert all(other["images"] is media["images"] and other is not media for other, _ in others)
    assert all(other == tokens and other is not tokens for _, other in others), "each may change its own list"


async def test_other_prompts_videos_and_rows_without_a_name_are_prepared_on_their_own(prepared):
    everything = [
        *rollouts(prepared, UID)[1],
        *rollouts(prepared, "a random uid of verl's for a validation row", ("held out",))[1],
        *rollouts(prepared, "step000001-prompt000009", ("a video",), videos=["v"], count=2)[1],
        *rollouts(prepared, None, ("no name",), count=2)[1],
        *rollouts(prepared, "step000001-prompt000008", ("no image",))[1],
    ]
    await asyncio.gather(*everything)

    assert Counter(prepared) == {
        **dict.fromkeys([("read", "question"), ("tokens", "question")], 1),
        **dict.fromkeys([("read", "held out"), ("tokens", "held out")], 1),
        **{("read", "a video"): 1, ("tokens", "a video"): 2},  # a video's features are wanted as well
        **dict.fromkeys([("read", "no name"), ("tokens", "no name")], 2),
        **dict.fromkeys([("read", "no image"), ("tokens", "no image")], 1),
    }


async def test_what_a_group_shares_goes_with_its_last_rollout(prepared):
    loops, running = rollouts(prepared, UID, count=2)

    async def images() -> weakref.ref[SharedImages]:
        return weakref.ref((await running[0])[0]["images"])

    shared = await images()
    await running[1]
    running.clear()
    loops.pop()
    gc.collect()
    assert shared() is not None
    loops.pop()
    gc.collect()

    assert shared() is None
    assert not SeededSingleTurnAgentLoop._groups


async def test_a_rollout_that_is_given_up_takes_nothing_from_its_group(prepared):
    _, running = rollouts(prepared, UID, count=2)
    first, second = map(asyncio.ensure_future, running)
    await asyncio.sleep(0)
    first.cancel()

    assert (await second)[1] == [1, 2, 3]
    assert first.cancelled()


async def test_groups_wait_for_room_and_give_it_back(prepared, monkeypatch):
    """Half as many groups as there are may be on their way; all come through, and the room is free again."""
    now, most = set(), []
    plain = SingleTurnAgentLoop.run

    async def run(self, sampling_params, **kwargs):
        found = await plain(self, sampling_params, **kwargs)
        now.add(kwargs["uid"])
        most.append(len(now))
        await asyncio.sleep(0.01)
        now.discard(kwargs["uid"])
        return found

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    monkeypatch.setattr(picture_room, "features", lambda messages: 1.0)
    monkeypatch.setattr(picture_room, "size_of_a_worker", lambda config: 3.0)
    running = [
        task for number in range(6) for task in rollouts(prepared, f"step000001-prompt00000{number}", (str(number),))[1]
    ]
    await asyncio.gather(*running)

    assert len(most) == 30
    assert max(most) == 3
    room = SeededSingleTurnAgentLoop._rooms[asyncio.get_running_loop()]
    assert await asyncio.wait_for(room.enter(3.0), 1) == 3.0


async def test_a_group_that_is_given_up_while_it_waits_leaves_no_room_taken(prepared, monkeypatch):
    monkeypatch.setattr(picture_room, "features", lambda messages: 1.0)
    monkeypatch.setattr(picture_room, "size_of_a_worker", lambda config: 1.0)
    loops, (running,) = rollouts(prepared, UID, count=1)
    room = loops[0]._room()
    taken = await room.enter(1.0)
    task = asyncio.ensure_future(running)
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    room.leave(taken)
    assert await asyncio.wait_for(room.enter(1.0), 1) == 1.0


def test_images_travel_without_what_was_made_of_them():
    images = SharedImages([Image.new("L", (8, 8))])
    images.inputs = {"pixel_values": "large"}

    assert type(pickle.loads(pickle.dumps(images))) is list  # our own bytes


async def test_only_training_prompts_have_pictures_that_are_stored(prepared):
    for uid in ("a random uid of verl's for a validation row", None):
        _, running = rollouts(prepared, uid, count=1)
        media, _ = await running[0]
        assert media["images"].key == ""


@pytest.mark.parametrize(("mode", "keeps"), [("medix_colocate_async", False), ("sync", True), ("separate_async", True)])
async def test_features_are_kept_for_trainers_that_name_prompts_at_random(prepared, mode, keeps):
    """verl's own trainers would otherwise train without pictures, as their prompts look like those of a validation."""
    (loop,), (running,) = rollouts(prepared, "0f1e2d3c", count=1)
    loop.config = settings(mode=mode)

    assert (await running)[0]["images"].keep_features is keeps
