"""Drafts of rubrics: a judge writes criteria from question and reference, and each is marked as machine-made.

The same command goes on where it stopped: what the judge wrote is kept in a cache beside the output.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medix_r1 import prompts
from medix_r1.errors import ConfigError, JudgeRejected, Problem
from medix_r1.models.rubric import MACHINE_MADE, criteria_of, rubric_problems
from medix_r1.models.verdict import OpenQuestion, Writer

QUESTION, REFERENCE = ("question", "problem"), ("reference", "answer", "solution")
PROMPT = "rubric_draft"
_PLACEHOLDER = re.compile(r"\{(question|reference|most)\}")
_TOKENS = 80  # of one criterion
_MAX_PROBLEMS = 50
_MAX_CHARS = 16_000  # of one inserted text


@dataclass(frozen=True, slots=True)
class Drafted:
    """A row for which criteria are wanted.

    Attributes:
        name: its id, or a hash of question and reference.
        fields: as in the file.
        question, reference: what the judge sees.
        rubric: criteria that it has, or that were written; None without any.
        failure: why there are none.
    """

    name: str
    fields: Mapping[str, Any]
    question: str
    reference: str
    rubric: Sequence[Mapping[str, Any]] | None = None
    failure: str | None = None

    def line(self) -> str:
        """The row as a line of JSON, with its rubric if it has one."""
        fields = {name: value for name, value in self.fields.items() if name != "rubric"}
        more = {} if self.rubric is None else {"rubric": list(self.rubric)}
        return json.dumps({**fields, **more}, ensure_ascii=False) + "\n"


def read_rows(path: Path) -> list[Drafted]:
    """The rows of a file of JSON lines with a question and a reference each.

    Raises:
        ConfigError: all problems of the file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.of(str(path), "not-readable", f"cannot be read: {error}") from error
    rows: list[Drafted] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        found = _row(text, f"{path}:{number}")
        if isinstance(found, Drafted):
            if found.name in seen:
                says = f"'{found.name}' is that of line {seen[found.name]}, too; give the rows ids that differ"
                problems.append(Problem(f"{path}:{number}", "repeated-id", says))
            seen[found.name] = number
            rows.append(found)
        else:
            problems += found
        if len(problems) > _MAX_PROBLEMS:
            break
    if not rows and not problems:
        problems.append(Problem(str(path), "no-rows", "holds no rows"))
    if problems:
        raise ConfigError(problems[:_MAX_PROBLEMS])
    return rows


def _row(text: str, where: str) -> Drafted | list[Problem]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return [Problem(where, "not-a-row", "no JSON")]
    if not isinstance(fields, dict):
        return [Problem(where, "not-a-row", "no object of JSON")]
    question, reference = _text_of(fields, QUESTION), _text_of(fields, REFERENCE)
    problems = [
        Problem(where, "no-value", f"no text under {' or '.join(names)}")
        for names, found in ((QUESTION, question), (REFERENCE, reference))
        if found is None
    ]
    rubric = fields.get("rubric")
    if rubric is not None:
        problems += [problem.below(f"{where}: ") for problem in rubric_problems(rubric)]
    if problems:
        return problems
    given = fields.get("id")
    name = hashlib.sha256(f"{question}\x1f{reference}".encode()).hexdigest()[:12] if given is None else str(given)
    return Drafted(name, fields, question or "", reference or "", rubric)


def _text_of(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((value for name in names if isinstance(value := fields.get(name), str) and value.strip()), None)


async def drafted(
    rows: Sequence[Drafted], judge: Writer, *, most: int, in_flight: int, advance: Callable[[int], None]
) -> list[Drafted]:
    """The rows with the criteria that a judge wrote; those that have a rubric stay as they are.

    Args:
        rows: all rows.
        judge: writes.
        most: criteria of a row, at most.
        in_flight: rows that are asked about at one time.
        advance: is called for each row.

    Raises:
        JudgeUnavailable: no server answers.
    """
    slots = asyncio.Semaphore(in_flight)

    async def one(row: Drafted) -> Drafted:
        async with slots:
            made = row if row.rubric is not None else await _written(row, judge, most)
        advance(1)
        return made

    return list(await asyncio.gather(*map(one, rows)))


async def _written(row: Drafted, judge: Writer, most: int) -> Drafted:
    inside = {"question": row.question, "reference": row.reference, "most": str(most)}
    inside = {name: prompts.neutralise(value, max_chars=_MAX_CHARS) for name, value in inside.items()}
    text = _PLACEHOLDER.sub(lambda match: inside[match[1]], prompts.load(PROMPT))
    question = OpenQuestion(
        text,
        _TOKENS * most,
        lambda reply: read_draft(reply, most) is not None,
        f"a list of at most {most} criteria with points, some of them positive",
        (row.question, row.reference),
    )
    try:
        reply = await judge.write(question)
    except JudgeRejected as error:
        return Drafted(row.name, row.fields, row.question, row.reference, None, str(error))
    return Drafted(row.name, row.fields, row.question, row.reference, read_draft(reply, most))


def read_draft(reply: str, most: int) -> list[dict[str, Any]] | None:
    """The criteria in a judge's reply, marked as machine-made; None where they are not right as a whole."""
    start, end = reply.find("["), reply.rfind("]")
    try:
        found = json.loads(reply[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not 0 < len(found) <= most or rubric_problems(found):
        return None
    return [
        {
            "criterion": one.text,
            "points": one.points,
            "tags": [*(tag for tag in one.tags if tag != MACHINE_MADE), MACHINE_MADE],
        }
        for one in criteria_of(found)
    ]
