import asyncio
import inspect

from medix_r1.training.agent_loop import (
    NAME,
    SeededSingleTurnAgentLoop,
    SingleTurnAgentLoop,
    register,
    rollout_identity,
    rollout_seed,
)

UID = "step000001-prompt000002"


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
    loop.rollout_config = type("Rollout", (), {"seed": 7})
    given = {"temperature": 1.0}
    row = {"uid": UID, "session_id": 2, "raw_prompt": []}

    assert await loop.run(given, **row) == "reply"

    assert seen == {"params": {"temperature": 1.0, "seed": rollout_seed(7, UID, 2)}, "kwargs": row}
    assert given == {"temperature": 1.0}


def test_verl_finds_it_by_name():
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    register()

    assert _agent_loop_registry[NAME] == {"_target_": "medix_r1.training.agent_loop.SeededSingleTurnAgentLoop"}
    assert inspect.iscoroutinefunction(SeededSingleTurnAgentLoop.run)


async def test_a_group_tokenises_its_prompt_once(monkeypatch):
    prepared = []

    async def build(self, messages, **media):
        prepared.append(messages)
        return [len(prepared), 2, 3]

    monkeypatch.setattr(SingleTurnAgentLoop, "ct_build_initial_tokens", build)
    monkeypatch.setattr(SeededSingleTurnAgentLoop, "_prompts", {})

    def rollout(uid):
        loop = object.__new__(SeededSingleTurnAgentLoop)
        loop._uid = uid
        return loop

    group = [rollout(UID) for _ in range(5)]
    first, *others = await asyncio.gather(*(loop.ct_build_initial_tokens(["question"], images=[]) for loop in group))
    assert all(other == first and other is not first for other in others), "each may change its own list"
    assert len(prepared) == 1
    await rollout("step000001-prompt000003").ct_build_initial_tokens(["another"], images=[])
    await rollout(UID).ct_build_initial_tokens(["a video"], videos=["v"])
    await rollout("validation-demo-4").ct_build_initial_tokens(["held out"], images=[])
    assert prepared == [["question"], ["another"], ["a video"], ["held out"]]
