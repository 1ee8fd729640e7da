"""judge=verl as far as it goes without a GPU: verl's real router in front of a stub of the model it would serve."""

from __future__ import annotations

import threading
import time

import pytest
import uvicorn
from hydra.utils import instantiate
from verl.experimental.reward_loop.router.naive_router import NaiveRouter
from verl.trainer.ppo.reward import get_custom_reward_fn

from medix_r1 import config as configs
from medix_r1.errors import JudgeUnavailable
from medix_r1.models.judge import Question
from medix_r1.training.verl_plugin import scorer
from tests.support.judge_stub import JudgeStub


@pytest.fixture
def stub():
    with JudgeStub(answer=lambda prompt: "YES" if "left one" in prompt else "NO") as server:
        yield server


@pytest.fixture
def router(stub):
    app = NaiveRouter(worker_urls=[stub.address.removesuffix("/v1")]).app
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


@pytest.fixture
def config(tmp_path):
    return configs.compose_train(["experiment=nano_cpu", "judge=verl", f"run.dir={tmp_path}"])


async def test_the_judge_is_asked_through_verls_router(stub, router, config):
    reward = scorer.with_router(config.reward, router)
    judge = instantiate(reward.signals.llm.judge, _convert_="all")

    assert (await judge.judge(Question("Which?", "left lung", "the left one"))).matches
    assert not (await judge.judge(Question("Which?", "left lung", "the right one"))).matches

    assert [call["model"] for call in stub.calls] == [config.reward.reward_model.model_path] * 2
    assert stub.calls[0]["structured_outputs"] == {"choice": ["YES", "NO"]}
    await judge.aclose()


async def test_a_router_whose_model_is_gone_is_an_outage(stub, router, config):
    stub.behave = lambda call: (500, {}, b"engine died")
    reward = scorer.with_router(config.reward, router)
    judge = instantiate(reward.signals.llm.judge, _convert_="all", patience=0.5)

    with pytest.raises(JudgeUnavailable, match="HTTP 500"):
        await judge.judge(Question("Which?", "left lung", "the left one"))
    await judge.aclose()


def test_verl_finds_the_function_that_makes_it_ask_our_manager(config):
    assert get_custom_reward_fn(config).args[0].__name__ == scorer.not_called.__name__
