import pytest

from medix_r1.errors import ConfigError
from medix_r1.scoring.composed import PlannedReward
from tests.support.judge_stub import JudgeStub
from tests.support.problems import only

NOBODY = "http://127.0.0.1:9/v1"


def test_an_address_is_not_looked_at_by_a_reward_without_a_judge():
    """MEDIX_JUDGE_URL may be set for other work."""
    planned = PlannedReward(["reward=embedding_only", "judge=none", "embedder=minilm"], judge_url=NOBODY)

    assert not planned.asks_a_judge


def test_an_address_cannot_stand_in_for_a_judge_that_is_switched_off():
    with pytest.raises(ConfigError, check=only(("reward.signals.llm.judge", "no-judge"))):
        PlannedReward(["judge=none"], judge_url=NOBODY)


def test_an_address_replaces_the_judge_that_would_be_started():
    with JudgeStub() as stub:
        config = PlannedReward([], judge_url=stub.address).config

    assert config.judge.server is None
    assert config.judge.client.base_url == stub.address


def test_nobody_at_the_address():
    with pytest.raises(ConfigError, check=only(("--judge-url", "no-answer"))):
        PlannedReward([], judge_url=NOBODY)


@pytest.mark.parametrize("text", ["judge", "127.0.0.1:8000", "file:///etc/hosts", ""])
def test_a_text_that_is_no_address(text):
    with pytest.raises(ConfigError, check=only(("--judge-url", "not-an-address"))):
        PlannedReward([], judge_url=text or " ")


def test_scores_of_a_users_file_depend_on_its_content_and_not_on_where_it_lies(tmp_path):
    def settings(folder, text):
        file = tmp_path / folder / "mine.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"class Mine:\n    def score(self, sample):\n        return {text}\n")
        overrides = ["reward=embedding_only", "judge=none", f"+reward.signals.mine._target_={file}:Mine"]
        return PlannedReward(overrides).settings()

    assert settings("a", "1") == settings("b", "1") != settings("c", "2")


@pytest.mark.parametrize(("name", "asks"), [("exact", False), ("embed", False), ("llm", True)])
def test_a_signal_alone_needs_only_its_own_model(name, asks):
    planned = PlannedReward(["reward.signals.embed.veto=llm", "reward.gate=format"], alone=name)

    assert planned.asks_a_judge is asks
    assert (planned.config.reward.weights, list(planned.config.reward.signals)) == ({name: 1.0}, [name])


def test_a_signal_that_is_not_there_cannot_be_alone():
    with pytest.raises(ConfigError, check=only(("--signal llm", "no-such-signal"))) as refused:
        PlannedReward(["reward=embedding_only"], alone="llm")
    assert "embed, format" in str(refused.value)


def test_a_signal_alone_names_no_veto_that_is_not_there():
    with pytest.raises(ConfigError, check=only(("reward.signals.embed.veto", "no-such-signal"))):
        PlannedReward(["reward.signals.embed.veto=nobody"], alone="embed")
