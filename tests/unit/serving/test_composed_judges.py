"""Votes and cascades in a config: who is asked, whom the run's server serves, and what is wrong with them."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.scoring.judge_bench import _without_cache
from medix_r1.serving import checks
from medix_r1.serving.composed_judges import composites, composition_problems, members
from medix_r1.serving.foreground import attached
from medix_r1.serving.server import ServerSettings
from tests.support.judge_stub import MODEL, JudgeStub
from tests.support.problems import codes

CHAT = "medix_r1.models.judge.ChatJudge"
BAND = ["judge.client.low=0.1", "judge.client.high=0.9"]
STRONG = ["judge.client.strong.base_url=http://strong:8000/v1", "judge.client.strong.model=large"]
ELSEWHERE = [
    "judge.server=null",
    "judge.client.small.base_url=http://small:8000/v1",
    "judge.client.small.model=little",
]


def chat(name: str, **settings: Any) -> dict[str, Any]:
    return {"_target_": CHAT, "base_url": f"http://{name}/v1", "model": name, **settings}


def cascade(small: Any, strong: Any, **settings: Any) -> dict[str, Any]:
    target = "medix_r1.models.ensemble.cascade.CascadeJudge"
    return {"_target_": target, "small": small, "strong": strong, "low": 0.1, "high": 0.9, **settings}


def vote(*judges: Any) -> dict[str, Any]:
    return {"_target_": "medix_r1.models.ensemble.voting.VotingJudge", "judges": list(judges)}


SMALL = chat("little", mode="probability")


def wrong(client: dict[str, Any]) -> list[tuple[str, str]]:
    return codes(composition_problems(client, None))


def found(*overrides: str) -> list[Problem]:
    return list(checks.judge_problems(configs.compose_reward(["judge=cascade", *overrides])))


def test_members_of_nested_votes_and_cascades():
    nested = cascade(vote(chat("a"), chat("b")), cascade(chat("c"), vote(chat("d"))))
    assert [(key, client["model"]) for key, client in members(nested)] == [
        ("judge.client.small.judges[0]", "a"),
        ("judge.client.small.judges[1]", "b"),
        ("judge.client.strong.small", "c"),
        ("judge.client.strong.strong.judges[0]", "d"),
    ]
    assert [key for key, _ in composites(nested)] == [
        "judge.client.small",
        "judge.client.strong.strong",
        "judge.client.strong",
        "judge.client",
    ]
    assert members(OmegaConf.create(nested)) == members(nested)


@pytest.mark.parametrize("client", [cascade(SMALL, chat("large")), cascade(vote(SMALL, chat("b")), vote(chat("a")))])
def test_nothing_is_wrong(client):
    assert wrong(client) == []


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        (cascade(chat("little"), chat("large")), ("small.mode", "no-probability")),
        (cascade(chat("little", mode="binary"), chat("large")), ("small.mode", "no-probability")),
        (cascade(vote(chat("a"), chat("b")), chat("large")), ("small.judges[0].mode", "no-probability")),
        (cascade(cascade(SMALL, chat("b")), chat("large")), ("small", "no-probability")),
        (cascade(vote(cascade(SMALL, chat("b"))), chat("large")), ("small.judges[0].small.mode", "no-probability")),
        (cascade(SMALL, chat("little")), ("strong.model", "same-judge-twice")),
        (cascade(SMALL, chat("little", base_urls=["http://another/v1"])), ("strong.model", "same-judge-twice")),
        (cascade(SMALL, vote(chat("little"), chat("little"))), ("strong.judges[0].model", "same-judge-twice")),
        (cascade(SMALL, {**chat("little"), "base_url": "http://little/v1/"}), ("strong.model", "same-judge-twice")),
    ],
)
def test_cascades_that_cannot_work(client, problem):
    assert wrong(client) == [(f"judge.client.{problem[0]}", problem[1])]


@pytest.mark.parametrize(
    "strong",
    [
        {**chat("large"), "base_url": SMALL["base_url"]},  # one server or gateway with two models
        chat("little", thinking="cut", constrained=False, max_tokens=1024),  # the same model, which thinks
        chat("little", prompt="match_short"),
        {**chat("little"), "base_url": "http://another/v1"},  # the name of another model there
        vote(chat("little"), chat("large")),
    ],
)
def test_one_address_for_two_judges_where_there_is_a_need(strong):
    assert wrong(cascade(SMALL, strong)) == []


def test_a_cascade_in_a_vote_is_looked_at_too():
    inner = cascade(chat("little"), chat("large"))
    assert wrong(vote(chat("a"), inner)) == [("judge.client.judges[1].small.mode", "no-probability")]


def test_problems_of_members_and_of_the_cascade_are_said_together():
    problems = found(
        *ELSEWHERE, *STRONG, "judge.client.low=0.9", "judge.client.high=0.1", "judge.client.small.timeout=0"
    )
    assert ("judge.client.low", "band-crossed") in codes(problems)
    assert ("judge.client.small.timeout", "out-of-range") in codes(problems)


def test_a_wrong_band_of_an_inner_cascade_has_its_own_key():
    inner = cascade(SMALL, chat("large"), low=0.9, high=0.1)
    config = configs.compose_reward(["judge=cascade", *BAND, *ELSEWHERE, *STRONG])
    OmegaConf.update(config, "judge.client", vote(chat("a"), inner), merge=False)
    assert ("judge.client.judges[1].low", "band-crossed") in codes(checks.judge_problems(config))


def test_the_band_has_to_be_chosen():
    config = configs.compose_reward(["judge=cascade", *STRONG])
    assert [problem.key for problem in configs.missing_keys(config)] == ["judge.client.high", "judge.client.low"]


def test_a_server_that_would_be_started_for_nothing():
    problems = found(*BAND, *STRONG, *ELSEWHERE[1:])
    assert ("judge.server", "server-not-asked") in codes(problems)


def test_the_strong_judge_is_asked_even_where_the_run_starts_the_small_one(tmp_path):
    with JudgeStub() as stub:
        here = [f"judge.client.strong.base_url={stub.address}", f"judge.server.model={tmp_path}"]
        assert found(*BAND, *here, f"judge.client.strong.model={MODEL}") == []
        assert codes(found(*BAND, *here, "judge.client.strong.model=other")) == [
            ("judge.client.strong.model", "serves-another-model")
        ]


def test_a_small_judge_whose_server_sends_no_log_probabilities():
    with JudgeStub() as stub, JudgeStub() as strong:
        stub.behave = lambda _: (200, {}, b'{"choices": [{"message": {"content": "YES"}}]}')
        asked = [
            "judge.server=null",
            f"judge.client.small.base_url={stub.address}",
            f"judge.client.small.model={MODEL}",
            f"judge.client.strong.base_url={strong.address}",
            f"judge.client.strong.model={MODEL}",
        ]
        assert codes(found(*BAND, *asked)) == [("judge.client.small.mode", "no-log-probabilities")]


def test_verls_judge_cannot_be_a_member():
    problems = found(
        *BAND, *ELSEWHERE, "judge.client.strong.base_url=verl-reward-router", "judge.client.strong.model=m"
    )
    assert ("judge.client.strong.base_url", "verl-judge-composed") in codes(problems)


def test_a_server_without_an_address_for_the_small_judge():
    with pytest.raises(ConfigError) as caught:
        found("judge.server=null", *BAND, *STRONG)
    assert [problem.key for problem in caught.value.problems] == [
        "judge.client.small.base_url",
        "judge.client.small.model",
    ]


@pytest.mark.parametrize(
    ("judge", "key"),
    [
        (["judge=vllm"], "judge.client"),
        (["judge=cascade", *BAND, *STRONG], "judge.client.small"),
        (["judge=cascade", *BAND, *STRONG, *ELSEWHERE], "judge.client.small"),
    ],
)
def test_a_server_that_runs_already_stands_in_for_the_judge_that_would_be_started(judge, key):
    settings = ServerSettings("org/model", "served", port=8123)
    overrides = attached(configs.compose_reward(judge), settings)

    assert overrides == ["judge.server=null", f"{key}.base_url=http://127.0.0.1:8123/v1", f"{key}.model=served"]
    assert configs.compose_reward([*judge, *overrides]).judge.server is None


def test_benches_leave_the_caches_of_all_members_alone():
    client = OmegaConf.create(cascade({**SMALL, "cache_path": "a"}, vote({**chat("large"), "cache_path": "b"})))
    assert "cache_path" not in str(_without_cache(client))
