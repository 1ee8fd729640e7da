"""The files of a result. Tables, comparisons, audits and exports read nothing else.

    outputs/eval/<model>-<key>/
      run.json                 the settings that the key is a hash of, and package versions
      <task>/records.jsonl     one `Record` a line, written atomically after the score phase
      <task>/logs/             inspect's logs, for `inspect view`
      <task>@<key>/            the task's results on other data (another revision), renamed out of the way

A score is None, never 0, when a sample was not generated, not judged or not readable; `unscored` then says why.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from medix_r1.errors import DataError
from medix_r1.host.files import atomic_write
from medix_r1.models.rubric import Criterion

RUN_FILE = "run.json"
RECORDS_FILE = "records.jsonl"


def passage(context: str, question: str) -> str:
    """A question as it is asked: after its passage, if it has one."""
    return f"{context}\n\n{question}" if context else question


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote of one judge.

    Attributes:
        judge: name of the judge's model.
        seed: sampling seed of the call; None when the judge takes none.
        value: 0 or 1 for short answers and criteria, grade / 5 for reports; None when the vote failed.
        reason: the judge's reason, or what failed.
        reply: the judge's raw text.
        criterion: place in the rubric of the criterion that it is about; None where there is no rubric.
    """

    judge: str
    seed: int | None
    value: float | None
    reason: str
    reply: str
    criterion: int | None = None


def met_criteria(votes: Sequence[Vote], count: int) -> list[bool | None]:
    """The majority's verdict on each of `count` criteria; None without a valid vote, or where the votes are even."""
    by_criterion: dict[int, list[float]] = defaultdict(list)
    for vote in votes:
        if vote.criterion is not None and vote.value is not None:
            by_criterion[vote.criterion].append(vote.value)
    means = [sum(said) / len(said) if (said := by_criterion.get(place)) else 0.5 for place in range(count)]
    return [None if mean == 0.5 else mean > 0.5 for mean in means]


@dataclass(frozen=True, slots=True)
class Record:
    """One sample of one task, with its reply and its score.

    Attributes:
        id: hash of the task's data fields; the same sample has the same id in every run.
        task: name of the task.
        row: index in the source, before any filter.
        group: hash of the image or passage; samples that share it form a cluster and are not independent.
        modality: kind of image, when the source has it.
        question, choices, reference, reference_letter: the question, its options and the right answer.
        context: the passage that the question is about, or "".
        reply, think, answer, problems: the reply and its parts by the training grammar. `reply` is None when no
            generation succeeded.
        finish_reason: "stop", "length", ... as the server reported it.
        score: in [0, 1], or None.
        votes: every judge's vote, failed ones included; empty when `judge_free`.
        rubric: grade of the think block in [0, 1], not part of the score; None when not asked for.
        judge_free: the score needed no judge: empty answer, unambiguous option, or the user's own scorer.
        unscored: why there is no score; None when there is one.
        tokens_in, tokens_out, seconds: of the generation; 0 when the server did not report them.
        restricted: the texts are under a data-use agreement and must not be passed on.
        turns: (role, text) of what was said before the question, in a conversation.
        criteria: of the rubric that the reply is judged by, if there is one.
        rationale: steps of the row's rationale, by which the think block is graded.
        answer_type: as the source says it; None where it does not.
        confidence: what the reply says of its own chance to be right, in [0, 1]; None where it says nothing readable.
        subgroups: values of the columns that `subgroup=` named, those that the sample has.
    """

    id: str
    task: str
    row: int
    group: str
    modality: str | None
    question: str
    context: str
    choices: tuple[str, ...]
    reference: str
    reference_letter: str | None
    reply: str | None
    think: str | None
    answer: str | None
    finish_reason: str | None
    problems: tuple[str, ...]
    score: float | None
    votes: tuple[Vote, ...]
    rubric: float | None
    judge_free: bool
    unscored: str | None
    tokens_in: int
    tokens_out: int
    seconds: float
    restricted: bool
    turns: tuple[tuple[str, str], ...] = ()
    criteria: tuple[Criterion, ...] = ()
    answer_type: str | None = None
    rationale: tuple[str, ...] = ()
    confidence: float | None = None
    subgroups: Mapping[str, str] = field(default_factory=dict)

    @property
    def passage(self) -> str:
        """The question, after its passage or what was said before it, if there is any."""
        said = "\n".join(f"{role}: {text}" for role, text in self.turns)
        return passage("\n\n".join(filter(None, (said, self.context))), self.question)

    @property
    def truncated(self) -> bool:
        """Whether the reply was cut at the length limit."""
        return self.finish_reason == "length"

    def to_line(self) -> str:
        """One line of JSON, newline included."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Read what `to_line` wrote.

        Raises:
            DataError: fields are missing or unknown.
        """
        needed = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        if wrong := (needed - set(data)) | (set(data) - {f.name for f in fields(cls)}):
            raise DataError(f"a record has missing or unknown fields: {', '.join(sorted(wrong))}", code="not-a-record")
        values = dict(data)
        values["votes"] = tuple(Vote(**vote) for vote in values["votes"])
        values["turns"] = tuple((role, text) for role, text in values.get("turns", ()))
        told = ({**criterion, "tags": tuple(criterion["tags"])} for criterion in values.get("criteria", ()))
        values["criteria"] = tuple(Criterion(**criterion) for criterion in told)
        for name in ("choices", "problems", "rationale"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The settings of a result. Other settings give another key, so another folder.

    Attributes:
        model, revision: name or folder as given; hub commit or hash of the folder's files, None when unknown.
        prompt, prompt_sha: name and hash of the policy prompt.
        decoding: temperature, top_p, max_tokens, seed, ...
        data: revision of each task's data (hub commit or hash of the files), None when unknown; not in the key.
        judge: models, revisions, prompt hashes, seeds, decoding.
        versions: of this package and of those it depends on; not in the key.
        key: hash of the settings above.
        extra: settings that enter no key, such as the scorer of each task.
    """

    model: str
    revision: str | None
    prompt: str
    prompt_sha: str
    decoding: dict[str, Any]
    data: dict[str, str | None]
    judge: dict[str, Any]
    versions: dict[str, str]
    key: str
    extra: dict[str, Any] = field(default_factory=dict)


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write a task's records atomically."""
    atomic_write(path, "".join(record.to_line() for record in records), private=True)


def write_run(folder: Path, info: RunInfo) -> None:
    """Write `run.json`."""
    atomic_write(folder / RUN_FILE, json.dumps(asdict(info), indent=2, ensure_ascii=False) + "\n", private=True)


def read_run(folder: Path) -> tuple[RunInfo, dict[str, list[Record]]]:
    """Read one result: its settings, and its records by task in the source's order.

    Raises:
        DataError: this is not a result folder, or a file of it cannot be read; the message names it.
    """
    path = folder / RUN_FILE
    try:
        info = RunInfo(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no {RUN_FILE}: not a result of `medix-r1 eval`", code="not-a-result") from error
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}", code="not-readable") from error
    files = sorted(file for file in folder.glob(f"*/{RECORDS_FILE}") if "@" not in file.parent.name)  # TASK@KEY
    return info, {file.parent.name: read_records(file) for file in files}


def read_records(path: Path) -> list[Record]:
    """Read a task's records.

    Raises:
        DataError: a line is not a record; the message names file and line.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        try:
            records.append(Record.from_json(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}:{number}: {error}; run the score phase again", code="not-a-record") from error
    return records
