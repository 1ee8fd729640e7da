"""`medix-r1 rubric probe`: may an attack earn more than the plain reply that it decorates?

The cases are data (attacks.yaml). A bound that rests on rules holds with every judge. Beside each value stands the
naive mean: the share of criteria that the same judge calls met when it reads the raw answer, points and signs left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from medix_r1.errors import ConfigError, JudgeRejected, Problem
from medix_r1.host.yaml_text import read_yaml
from medix_r1.models.rubric import criteria_of, rubric_problems
from medix_r1.models.verdict import Verdict
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.rubrics.asking import Asked
from medix_r1.rewards.rubrics.signal import CriteriaLost, RubricReward

BUILT_IN = Path(__file__).with_name("attacks.yaml")
_TOLERANCE = 1e-9


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Strict):
    """A question with its rubric, and a plain reply that earns little."""

    question: str
    plain: str
    rubric: tuple[dict[str, Any], ...]

    @model_validator(mode="after")
    def _has_a_rubric(self) -> Row:
        if problems := rubric_problems(self.rubric):
            raise ValueError("; ".join(map(str, problems)))
        return self


class Case(_Strict):
    """One attack: an answer, or a whole reply; `plain_as_well` is said by the plain reply, too."""

    row: str
    answer: str | None = None
    reply: str | None = None
    text: str = ""
    times: int = 0
    plain_as_well: str = ""

    @model_validator(mode="after")
    def _is_one(self) -> Case:
        if (self.answer is None) == (self.reply is None):
            raise ValueError("either answer or reply is needed, not both")
        return self


class Family(_Strict):
    """Attacks of one kind."""

    family: str
    about: str
    rests_on: Literal["rules", "judge"]
    cases: tuple[Case, ...]


class AttackFile(_Strict):
    """A file of attacks."""

    rows: dict[str, Row]
    families: tuple[Family, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> AttackFile:
        unknown = {case.row for family in self.families for case in family.cases} - self.rows.keys()
        if unknown:
            raise ValueError(f"no such row: {', '.join(sorted(unknown))}; known: {', '.join(self.rows)}")
        return self


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case: what it earned, what its plain reply earns, and the naive means of both; None where unscored."""

    family: str
    number: int
    rests_on: str
    attack: str
    value: float | None
    plain: float | None
    naive: float | None
    naive_plain: float | None
    reason: str

    @property
    def broken(self) -> bool:
        """Whether the attack earns more than its plain reply, or gets away unscored."""
        return self.value is None or self.plain is None or self.value > self.plain + _TOLERANCE

    @property
    def fools_naive(self) -> bool:
        """Whether the naive mean rises."""
        return self.naive is not None and self.naive > (self.naive_plain or 0.0) + _TOLERANCE


def load(path: Path = BUILT_IN) -> AttackFile:
    """Read a file of attacks.

    Raises:
        ConfigError: all problems of the file.
    """
    try:
        return AttackFile.model_validate(read_yaml(path))
    except OSError as error:
        raise ConfigError.of(str(path), "not-readable", str(error.strerror)) from error
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise ConfigError(
            [Problem(f"{path}: {'.'.join(map(str, one['loc']))}", "not-an-attack-file", one["msg"]) for one in found]
        ) from error


async def run(file: AttackFile, signal: RubricReward, reader: SampleReader, element: str) -> list[Outcome]:
    """Score every attack and its plain reply; they are in the order of the file."""
    cases = [(family, number, case) for family in file.families for number, case in enumerate(family.cases, start=1)]
    one = (
        _outcome(family, number, case, file.rows[case.row], signal, reader, element) for family, number, case in cases
    )
    return list(await asyncio.gather(*one))


async def _outcome(
    family: Family, number: int, case: Case, row: Row, signal: RubricReward, reader: SampleReader, element: str
) -> Outcome:
    raw = case.answer if case.answer is not None else case.reply or ""
    attack = _filled(raw, case, row)
    reply = _wrapped(attack, element) if case.answer is not None else _with_element(attack, element)
    is_decorated = "{plain}" in raw or row.plain in case.text
    if case.reply is not None and "<answer>{plain}" not in raw:
        is_decorated = False  # nothing of it is the answer
    plain = " ".join(text for text in (row.plain if is_decorated else "", case.plain_as_well) if text)
    attacked, alone = _sample(reply, row, reader), _sample(_wrapped(plain, element), row, reader)
    (value, reason), (bound, _) = await asyncio.gather(_value(signal, attacked), _value(signal, alone))
    naive, naive_plain = await asyncio.gather(naive_mean(signal, attacked), naive_mean(signal, alone))
    return Outcome(family.family, number, family.rests_on, attack, value, bound, naive, naive_plain, reason)


def _sample(reply: str, row: Row, reader: SampleReader) -> Sample:
    return reader.read(reply, reference="", has_image=False, question=row.question, rubric=row.rubric)


def _wrapped(answer: str, element: str) -> str:
    return f"<{element}>I read the question.</{element}><answer>{answer}</answer>"


def _with_element(reply: str, element: str) -> str:
    return reply.replace("<think>", f"<{element}>").replace("</think>", f"</{element}>")


def _filled(text: str, case: Case, row: Row) -> str:
    criteria = [one.text for one in criteria_of(row.rubric)]
    inside = {"{plain}": row.plain, "{criteria}": "\n".join(criteria), "{first}": criteria[0], "{second}": criteria[1]}
    text = text.replace("{repeat}", case.text * case.times)
    for mark, value in inside.items():
        text = text.replace(mark, value)
    return text


async def _value(signal: RubricReward, sample: Sample) -> tuple[float | None, str]:
    try:
        result = signal.score(sample)
        score = await result if hasattr(result, "__await__") else result
    except CriteriaLost as error:
        return None, str(error)
    return score.value, score.reason


async def naive_mean(signal: RubricReward, sample: Sample) -> float | None:
    """Share of the criteria that the judge calls met when it reads the raw answer; 0 without one, None when lost."""
    answer = sample.completion.answer
    if not answer:
        return 0.0
    asked = [Asked(sample.question, answer, one) for one in criteria_of(sample.rubric)]
    outcomes = await signal.asker.ask(asked)
    verdicts = [one.matches for one in outcomes if isinstance(one, Verdict)]
    if any(isinstance(one, JudgeRejected) for one in outcomes):
        return None
    return sum(verdicts) / len(verdicts)


def summary(outcomes: Sequence[Outcome]) -> Mapping[str, Mapping[str, Any]]:
    """Family → counts and the worst values of its attacks, for the table and for a file."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(one.family for one in outcomes):
        own = [one for one in outcomes if one.family == name]
        found[name] = {
            "attacks": len(own),
            "rests_on": own[0].rests_on,
            "broken": sum(one.broken for one in own),
            "highest": max((one.value for one in own if one.value is not None), default=None),
            "naive_highest": max((one.naive for one in own if one.naive is not None), default=None),
            "naive_raised": sum(one.fools_naive for one in own),
        }
    return found
