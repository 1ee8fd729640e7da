"""Reads and validates files of probes: replies with bounds on their reward. All problems are reported together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medix_r1.errors import ConfigError, Problem
from medix_r1.grammar import parse_reference
from medix_r1.host.yaml_text import read_yaml
from medix_r1.rewards.base import Sample
from medix_r1.scoring.composed import ReadyReward

BUILT_IN = Path(__file__).with_name("probe.yaml")


def built_in(name: str) -> Path:
    """The file of built-in probes with a name, such as `reports`; it need not exist."""
    return BUILT_IN.with_name(f"{name}.yaml")


def found(named: Path | None) -> Path:
    """The file that a command names: a path, the name of built-in probes, or None for the usual ones."""
    if named is None:
        return BUILT_IN
    ours = built_in(named.name)
    return ours if named.parent == Path() and not named.exists() and ours.exists() else named


RestsOn = Literal["nothing", "embedder", "judge", "both"]
Bounds = Annotated[dict[str, Annotated[float, Field(ge=0.0, le=1.0)]], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Strict):
    """A question with its right answer."""

    question: str
    reference: str
    choices: tuple[str, ...] = ()


class Repeat(_Strict):
    """Replaces `{repeat}` in a reply by `times` copies of `text`."""

    text: str
    times: Annotated[int, Field(ge=1, le=10_000_000)]


class Case(_Strict):
    """One reply: whole (`reply`), or an `answer` put into a well-formed reply. Its bounds override the family's."""

    row: str
    answer: str | None = None
    reply: str | None = None
    repeat: Repeat | None = None
    max: Bounds | None = None
    min: Bounds | None = None
    flagged_by: tuple[str, ...] | None = None
    rests_on: RestsOn | None = None
    why: str | None = None

    @model_validator(mode="after")
    def _is_one_reply(self) -> Case:
        if (self.answer is None) == (self.reply is None):
            raise ValueError("either answer or reply is needed, not both")
        return self


class Family(_Strict):
    """Cases of one kind, with their common bounds."""

    family: str
    about: str
    max: Bounds | None = None
    min: Bounds | None = None
    flagged_by: tuple[str, ...] = ()
    rests_on: RestsOn
    why: str
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


class ProbeFile(_Strict):
    """A file of probes; `monitors` are the parts that must be 1 for every right answer."""

    monitors: tuple[str, ...] = ()
    rows: dict[str, Question]
    attacks: tuple[Family, ...] = ()
    right: tuple[Family, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> ProbeFile:
        problems = [
            f"{family.family}, case {number}: no row '{case.row}'; known: {', '.join(self.rows)}"
            for family in (*self.attacks, *self.right)
            for number, case in enumerate(family.cases, 1)
            if case.row not in self.rows
        ]
        problems += [f"{f.family}: an attack has a max and no min" for f in self.attacks if not f.max or f.min]
        problems += [
            f"{family.family}: a right answer has a min, no max and no flagged_by"
            for family in self.right
            if not family.min or family.max or family.flagged_by or any(case.flagged_by for case in family.cases)
        ]
        names = [family.family for family in (*self.attacks, *self.right)]
        problems += [f"{name}: stands there twice" for name in sorted(set(names)) if names.count(name) > 1]
        if problems:
            raise ValueError("; ".join(problems))
        return self


@dataclass(frozen=True, slots=True)
class Probe:
    """One case with its effective bounds.

    Attributes:
        name: family/number.
        is_attack: whether bounds are upper ones; else lower ones.
        bounds: `overall` or a part → bound, in [0, 1].
        monitors: parts that must be below 1 for an attack, and 1 for a right answer.
        rests_on: models that the bounds depend on.
        reply: with `<think>` in place of the reward's think element.
    """

    name: str
    family: str
    is_attack: bool
    bounds: Mapping[str, float]
    monitors: tuple[str, ...]
    rests_on: RestsOn
    why: str
    question: Question
    reply: str

    def sample(self, ready: ReadyReward) -> Sample:
        """The case as a sample of a reward, with that reward's think element."""
        return self._sample(ready, self.reply)

    def beside(self, ready: ReadyReward) -> Sample:
        """What a signal of groups compares the case with: the reference for an attack, else a reply of nothing."""
        answer = parse_reference(self.question.reference).answer
        return self._sample(ready, _well_formed(self.question, answer) if self.is_attack else "I look at the question.")

    def _sample(self, ready: ReadyReward, reply: str) -> Sample:
        element = ready.think_element
        reply = reply.replace("<think>", f"<{element}>").replace("</think>", f"</{element}>")
        return ready.reader.read(
            reply,
            reference=self.question.reference,
            has_image=parse_reference(self.question.reference).modality is not None,
            question=self.question.question,
            choices=self.question.choices,
            source="probe",
        )


def load(path: Path = BUILT_IN, families: Sequence[str] = ()) -> list[Probe]:
    """Read a file of probes.

    Args:
        path: the file.
        families: names of the families to return; all by default.

    Raises:
        ConfigError: all problems of the file, or unknown families.
    """
    try:
        file = ProbeFile.model_validate(read_yaml(path))
    except OSError as error:
        raise ConfigError.of(str(path), "not-readable", str(error.strerror)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError.of(str(path), "not-yaml", f"is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise ConfigError(
            [
                Problem(f"{path}: {'.'.join(map(str, wrong['loc'])) or 'file'}", "not-a-probe-file", wrong["msg"])
                for wrong in found
            ]
        ) from error
    return chosen([*_probes(file, file.attacks, is_attack=True), *_probes(file, file.right, is_attack=False)], families)


def chosen(probes: Sequence[Probe], families: Sequence[str]) -> list[Probe]:
    """The probes of these families; all if none is named.

    Raises:
        ConfigError: there is no such family.
    """
    known = list(dict.fromkeys(probe.family for probe in probes))
    if unknown := [name for name in families if name not in known]:
        raise ConfigError(
            [
                Problem(f"--family {name}", "no-such-family", f"no such family; known: {', '.join(known)}")
                for name in unknown
            ]
        )
    return [probe for probe in probes if not families or probe.family in families]


def _probes(file: ProbeFile, families: Sequence[Family], *, is_attack: bool) -> Iterator[Probe]:
    for family in families:
        for number, case in enumerate(family.cases, 1):
            bounds = (case.max or family.max) if is_attack else (case.min or family.min)
            flagged_by = family.flagged_by if case.flagged_by is None else case.flagged_by
            assert bounds is not None  # checked when the file was read
            yield Probe(
                name=f"{family.family}/{number:02d}",
                family=family.family,
                is_attack=is_attack,
                bounds=bounds,
                monitors=flagged_by if is_attack else file.monitors,
                rests_on=case.rests_on or family.rests_on,
                why=case.why or family.why,
                question=file.rows[case.row],
                reply=_reply(case, file.rows[case.row]),
            )


def _reply(case: Case, question: Question) -> str:
    text = case.reply if case.reply is not None else _well_formed(question, case.answer or "")
    return text if case.repeat is None else text.replace("{repeat}", case.repeat.text * case.repeat.times)


def _well_formed(question: Question, answer: str) -> str:
    tag = parse_reference(question.reference).modality
    return f"{f'<{tag}>' if tag else ''}<think>I look at the question.</think><answer>{answer}</answer>"
