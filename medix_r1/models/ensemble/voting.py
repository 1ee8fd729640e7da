"""A vote of several judges: the majority of YES and NO, or the mean of their probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from medix_r1.errors import ConfigError, JudgeError, JudgeRejected, JudgeUnavailable
from medix_r1.models.verdict import Judge, Question, Verdict, added_up


class VotingJudge:
    """Asks all members concurrently.

    Binary members vote: more YES than NO is YES, a tie is NO. If any member gives a probability, the verdict is the
    mean over the members, of which binary ones count as 0 or 1.

    A failed member is not a NO: if its vote could change the verdict, the question is rejected, whatever the quorum.

    Args:
        judges: the members, any clients.
        quorum: members that must answer; None means all. With fewer answers the vote fails as the members did: as
            unavailable if one of them is, else as rejected.

    Raises:
        ConfigError: there are no members, or the quorum is not between 1 and their number.
    """

    def __init__(self, *, judges: Sequence[Judge], quorum: int | None = None) -> None:
        if not judges:
            raise ConfigError.of("judge.client.judges", "no-judge", "a vote needs at least one judge")
        if quorum is not None and not 1 <= quorum <= len(judges):
            raise ConfigError.of(
                "judge.client.quorum", "out-of-range", f"{quorum} is not between 1 and the {len(judges)} judges"
            )
        self._judges, self._quorum = tuple(judges), len(judges) if quorum is None else quorum
        self.votes = self.split_votes = self.failed_members = 0

    async def judge(self, question: Question) -> Verdict:
        """Return the verdict of the members that answered.

        Raises:
            JudgeUnavailable: fewer than `quorum` members answered, and one of the others is unavailable.
            JudgeRejected: fewer than `quorum` members answered, and none is unavailable; or the missing votes could
                change the verdict.
        """
        outcomes = await asyncio.gather(*(self._ask(judge, question) for judge in self._judges))
        verdicts = [outcome for outcome in outcomes if isinstance(outcome, Verdict)]
        failures = [outcome for outcome in outcomes if isinstance(outcome, JudgeError)]
        self.failed_members += len(failures)
        graded = any(verdict.probability is not None for verdict in verdicts)
        if len(verdicts) < self._quorum:
            raise next((error for error in failures if isinstance(error, JudgeUnavailable)), failures[0])
        if failures and _is_undecided(verdicts, len(failures), graded):
            raise JudgeRejected(f"the vote is open without the members that failed: {failures[0]}", code="vote-open")
        self.votes += 1
        self.split_votes += len({verdict.matches for verdict in verdicts}) > 1
        reply = " | ".join(verdict.reply.strip() for verdict in verdicts)
        mean = sum(verdict.score for verdict in verdicts) / len(verdicts)
        return Verdict(_matches(mean, graded), reply, mean if graded else None)

    async def _ask(self, judge: Judge, question: Question) -> Verdict | JudgeError:
        try:
            return await judge.judge(question)
        except JudgeError as error:
            return error

    def statistics(self) -> dict[str, float]:
        """Sums of the members' counters, the maximum of their latencies, and the counters of the votes."""
        return added_up(judge.statistics() for judge in self._judges) | {
            "votes": float(self.votes),
            "split_votes": float(self.split_votes),
            "failed_members": float(self.failed_members),
        }

    async def aclose(self) -> None:
        """Close every member."""
        for judge in self._judges:
            await judge.aclose()


def _matches(mean: float, graded: bool) -> bool:
    """Whether a mean score is YES; a tie of binary votes is NO."""
    return mean >= 0.5 if graded else mean > 0.5


def _is_undecided(verdicts: Sequence[Verdict], missing: int, graded: bool) -> bool:
    """Whether the verdict depends on the missing votes: all NO and all YES give different verdicts."""
    given, members = sum(verdict.score for verdict in verdicts), len(verdicts) + missing
    return _matches(given / members, graded) != _matches((given + missing) / members, graded)
