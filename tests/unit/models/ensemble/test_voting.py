from typing import Any

import pytest

from medix_r1.errors import ConfigError, JudgeRejected, JudgeUnavailable
from medix_r1.models.ensemble.voting import VotingJudge
from medix_r1.models.judge import Question, Verdict
from tests.support.judge_stub import JudgeStub
from tests.support.problems import coded, only

ASKED = Question("Which side?", "left lung", "the left one")


approx: Any = pytest.approx  # stands where a number does


class Member:
    def __init__(self, says: bool | float | Exception) -> None:
        self.says = says

    async def judge(self, question: Question) -> Verdict:
        assert question is ASKED
        if isinstance(self.says, Exception):
            raise self.says
        if isinstance(self.says, bool):
            return Verdict(self.says, "YES" if self.says else "NO")
        return Verdict(self.says >= 0.5, "YES", self.says)

    def statistics(self) -> dict[str, float]:
        return {"calls": 2.0, "latency_p50": 0.5 if self.says is True else 0.1}

    async def aclose(self) -> None: ...


def vote(*says, quorum=None) -> VotingJudge:
    return VotingJudge(judges=[Member(one) for one in says], quorum=quorum)


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ([True], Verdict(True, "YES")),
        ([True, False, True], Verdict(True, "YES | NO | YES")),
        ([True, False, False], Verdict(False, "YES | NO | NO")),
        ([True, False], Verdict(False, "YES | NO")),
        ([0.9, 0.3], Verdict(True, "YES | YES", approx(0.6))),
        ([True, 0.3, 0.2], Verdict(True, "YES | YES | YES", approx(0.5))),
    ],
)
async def test_the_majority_or_the_mean(says, verdict):
    assert await vote(*says).judge(ASKED) == verdict


DOWN, REFUSED = JudgeUnavailable("down"), JudgeRejected("too long")


@pytest.mark.parametrize(
    ("says", "quorum", "error"),
    [
        ([True, True, DOWN], None, DOWN),
        ([True, True, REFUSED], None, REFUSED),
        ([True, REFUSED, DOWN], 2, DOWN),
        ([DOWN, DOWN], 1, DOWN),
        ([DOWN, REFUSED, REFUSED], 1, DOWN),
    ],
)
async def test_too_few_members_are_no_vote(says, quorum, error):
    with pytest.raises(type(error), match=str(error)):
        await vote(*says, quorum=quorum).judge(ASKED)


@pytest.mark.parametrize(
    ("says", "quorum"),
    [
        ([DOWN, True, False], 2),
        ([True, REFUSED, False], 2),
        ([DOWN, REFUSED, True], 1),
        ([DOWN, True], 1),
        ([DOWN, 0.9, 0.2], 2),
        ([DOWN, True, 0.4], 2),
    ],
)
async def test_a_missing_member_is_no_no_and_a_quorum_goes_on_without_it(says, quorum):
    voting = vote(*says, quorum=quorum)

    with pytest.raises(JudgeRejected, check=coded("vote-open")):
        await voting.judge(ASKED)
    assert voting.statistics()["votes"] == 0


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ([True, DOWN, True], Verdict(True, "YES | YES")),
        ([False, REFUSED, False], Verdict(False, "NO | NO")),
        ([DOWN, False], Verdict(False, "NO")),
        ([0.9, DOWN, 0.7], Verdict(True, "YES | YES", approx(0.8))),
        ([0.1, DOWN, 0.3], Verdict(False, "YES | YES", approx(0.2))),
    ],
)
async def test_a_quorum_decides_when_the_others_could_not_change_it(says, verdict):
    voting = vote(*says, quorum=len(says) - 1)

    assert await voting.judge(ASKED) == verdict
    assert voting.statistics()["failed_members"] == 1


async def test_a_bug_in_a_member_is_no_missing_vote():
    with pytest.raises(ZeroDivisionError):
        await vote(True, ZeroDivisionError(), quorum=1).judge(ASKED)


@pytest.mark.parametrize("quorum", [0, 3, -1])
def test_a_quorum_of_nobody_or_of_more_than_all(quorum):
    with pytest.raises(ConfigError, check=only(("judge.client.quorum", "out-of-range"))):
        vote(True, True, quorum=quorum)


def test_a_vote_of_nobody():
    with pytest.raises(ConfigError, check=only(("judge.client.judges", "no-judge"))):
        VotingJudge(judges=[])


async def test_counts_are_added_and_latencies_are_the_slowest():
    voting = vote(True, False)
    await voting.judge(ASKED)

    assert voting.statistics() == {
        "calls": 4.0,
        "latency_p50": 0.5,
        "votes": 1.0,
        "split_votes": 1.0,
        "failed_members": 0.0,
    }


async def test_real_clients_vote(make_judge):
    with JudgeStub(answer=lambda _: "YES") as one, JudgeStub(answer=lambda _: "NO") as two, JudgeStub() as three:
        three.answer = lambda _: "yes"
        voting = VotingJudge(judges=[make_judge(stub.address) for stub in (one, two, three)])

        assert await voting.judge(ASKED) == Verdict(True, "YES | NO | yes")
        assert voting.statistics()["calls"] == 3
    await voting.aclose()
