"""Every YAML file of judges and embedders composes, and builds what it names."""

import inspect
from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.models.embedder import SentenceTransformerEmbedder
from medix_r1.models.ensemble.cascade import CascadeJudge
from medix_r1.models.ensemble.voting import VotingJudge
from medix_r1.models.judge import ChatJudge
from medix_r1.models.remote_embedder import RemoteEmbedder
from medix_r1.serving import checks
from tests.support.problems import codes

ADDRESS = "http://127.0.0.1:1/v1"
STRONG = [f"judge.client.strong.base_url={ADDRESS}", "judge.client.strong.model=m"]
GIVEN = {
    "cascade": [*STRONG, "judge.client.low=0.1", "judge.client.high=0.9"],
    "nano_cascade": STRONG,
    "client": [f"judge.client.base_url={ADDRESS}", "judge.client.model=m"],
    "remote": [f"judge.client.base_url={ADDRESS}"],
    "voting": [f"judge.client.judges.{i}.base_url={ADDRESS}" for i in range(3)],
}


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (configs.config_dir() / group).glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in choices("judge") if name not in ("verl", "none")])
def test_a_judge(name, monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-test")
    config = configs.compose_reward([f"judge={name}", *GIVEN.get(name, [])])

    assert configs.missing_keys(config) == []
    judge: Any = instantiate(config.judge.client, _convert_="all")
    assert judge.statistics()["calls"] == 0.0
    composed: dict[str, type] = {"voting": VotingJudge, "cascade": CascadeJudge, "nano_cascade": CascadeJudge}
    assert type(judge) is composed.get(name, ChatJudge)


def test_a_paid_judge_without_its_key(monkeypatch):
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    config = configs.compose_reward(["judge=openrouter"])

    with pytest.raises(InstantiationException) as caught:
        instantiate(config.judge.client, _convert_="all")
    assert isinstance(caught.value.__cause__, ConfigError)
    assert codes(caught.value.__cause__) == [("judge.client.api_key_env", "variable-not-set")]


@pytest.mark.parametrize("name", choices("embedder"))
def test_an_embedder(name):
    given = [f"embedder.base_url={ADDRESS}"] if name == "remote" else []
    config = configs.compose_reward(["judge=vllm", f"embedder={name}", *given])

    embedder = instantiate(config.embedder, _convert_="all")
    assert isinstance(embedder, RemoteEmbedder if name == "remote" else SentenceTransformerEmbedder)
    assert embedder.versions()["embedder"] == config.embedder.model


@pytest.mark.parametrize("name", choices("embedder"))
def test_numbers_that_cannot_work_are_found_before_a_model_loads(name):
    given = [f"embedder.base_url={ADDRESS}"] if name == "remote" else []
    wrong = ["embedder.batch_size=0", "embedder.cache_size=0", "judge.client.parse_attempts=0"]
    config = configs.compose_reward(["judge=vllm", f"embedder={name}", *given, *wrong])

    found = [*checks.judge_problems(config), *checks.embedder_problems(config)]
    assert {(key.split("=")[0], "not-a-count") for key in wrong} <= set(codes(found))


def test_what_the_nano_judge_was_trained_on_stays():
    assert configs.compose_reward(["judge=nano"]).judge.client.prompt == "match_short"


@pytest.mark.parametrize(("cascade", "alone"), [("cascade", "vllm"), ("nano_cascade", "nano")])
def test_the_small_judge_of_a_cascade_is_the_one_that_also_runs_alone(cascade, alone):
    both = [configs.compose_reward([f"judge={name}", *GIVEN.get(name, [])]).judge for name in (cascade, alone)]

    assert both[0].server == both[1].server
    assert both[0].longest_answer == both[1].longest_answer
    assert {**both[0].client.small, "mode": "binary"} == {**both[1].client}


def test_every_knob_of_the_client_stands_in_its_yaml():
    config = configs.compose_reward(["judge=client", *GIVEN["client"]])
    assert set(config.judge.client) - {"_target_"} == set(inspect.signature(ChatJudge).parameters)
    config = configs.compose_reward(["judge=cascade", *GIVEN["cascade"]])
    assert set(config.judge.client) - {"_target_"} == set(inspect.signature(CascadeJudge).parameters)
    for member in ("small", "strong"):
        assert set(config.judge.client[member]) - {"_target_"} == set(inspect.signature(ChatJudge).parameters)
    config = configs.compose_reward(["embedder=remote", f"embedder.base_url={ADDRESS}"])
    assert set(config.embedder) - {"_target_"} == set(inspect.signature(RemoteEmbedder).parameters)
