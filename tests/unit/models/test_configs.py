"""Every YAML file of judges and embedders composes, and builds what it names."""

import inspect

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.models.embedder import SentenceTransformerEmbedder
from medix_r1.models.judge import ChatJudge
from medix_r1.models.remote_embedder import RemoteEmbedder
from medix_r1.models.voting import VotingJudge
from medix_r1.serving import checks
from tests.support.problems import codes

ADDRESS = "http://127.0.0.1:1/v1"
GIVEN = {
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
    judge = instantiate(config.judge.client, _convert_="all")
    assert isinstance(judge, VotingJudge if name == "voting" else ChatJudge)
    assert judge.statistics()["calls"] == 0.0


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


def test_every_knob_of_the_client_stands_in_its_yaml():
    config = configs.compose_reward(["judge=client", *GIVEN["client"]])
    assert set(config.judge.client) - {"_target_"} == set(inspect.signature(ChatJudge).parameters)
    config = configs.compose_reward(["embedder=remote", f"embedder.base_url={ADDRESS}"])
    assert set(config.embedder) - {"_target_"} == set(inspect.signature(RemoteEmbedder).parameters)
