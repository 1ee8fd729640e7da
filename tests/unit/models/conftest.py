import pytest
from tenacity import wait_fixed

from medix_r1.models import retry_policy
from medix_r1.models.judge import ChatJudge
from tests.support.judge_stub import JudgeStub


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(retry_policy, "_BACKOFF", wait_fixed(0.01))


@pytest.fixture
def stub():
    with JudgeStub() as server:
        yield server


@pytest.fixture
async def make_judge():
    made = []

    def make(address: str, **settings) -> ChatJudge:
        judge = ChatJudge(**{"base_url": address, "model": "m", "prompt": "match_short", "timeout": 5, **settings})
        made.append(judge)
        return judge

    yield make
    for judge in made:
        await judge.aclose()
