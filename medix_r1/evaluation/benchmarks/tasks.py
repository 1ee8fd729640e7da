"""Tasks, and the selection of tasks by an expression such as `all`, `open` or `[slake_vqa,llm]`.

Each task is one YAML file, `configs/eval/task/NAME.yaml`; its `format` (formats.py) turns rows into samples.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from medix_r1 import prompts, user_code
from medix_r1.config import config_dir
from medix_r1.errors import ConfigError, Problem
from medix_r1.models.rubric import PROMPTS

Kind = Literal["llm", "vlm"]
SCORERS = ("short", "report", "rubric", "preference")
Access = Literal["open", "credentials", "file"]
_GROUPS = ("all", "llm", "vlm", "open")
# Fields that change no sample, so that they enter no key of the data.
_TOLD = frozenset({"headline", "licence", "access", "revision", "file", "answers", "source", "suites"})
# Fields of later versions: where a task does not use them, its results keep their key.
_LATER = ("image", "files", "image_dir", "question_until")
_TOLD_COLUMNS = frozenset({"answer_type", "rationale"})


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One benchmark (YAML: `tasks.NAME`).

    Attributes:
        name: of the task, as in `task=NAME`.
        kind: `llm` for text questions, `vlm` for questions with images.
        headline: whether it is one of the 17 tasks of the headline average.
        suites: further groups of tasks that `task=` knows by name, such as `medevalkit`.
        source: where the schema of its rows was read.
        path: data set on the hub; None when the user has to bring a file.
        config: configurations of the data set, all of them read; empty when it has one only.
        split: of the data set.
        revision: commit on the hub; None takes the newest, which the result records.
        files: patterns of the data set's files, where their names or folders do not hold the split.
        file: the user's own file (parquet, JSON lines, JSON, CSV) with the same columns, read instead of the hub; with
            `*` in it several.
        answers: JSON file of the user's with the right answers by the rows' ids, where the data set keeps them back.
        format: a name in formats.py, or the user's own function (`./file.py:name`).
        columns: from the format's names of columns to the data set's.
        question: a fixed question, for tasks whose rows hold none.
        question_until: mark at which the rows' questions end, where they repeat the options after it.
        where: keeps the rows whose columns have these values, or one of a list of them; empty keeps all.
        archive: zip file beside the rows that holds the images.
        image_dir: folder of the images, relative to the file of the rows; None for that file's own.
        image: rules by which its pictures are read, where they differ from those of images/rules.py.
        image_host: the only server that image addresses may name and that gets the credentials.
        scorer: `short` asks the judge for YES or NO, `report` for 0 to 5, `rubric` about each criterion of the row;
            `preference` compares the reply's choices with people's; or the user's own function.
        licence: of the data, as far as we know it.
        access: `open`; `credentials` in the environment; `file`, which the user has to bring: a file of rows, or with a
            `path` a copy of the data set in data_dir.
        restricted: texts are under a data-use agreement and are left out of exports.
    """

    name: str
    kind: Kind
    headline: bool = True
    suites: Sequence[str] = ()
    source: str | None = None
    path: str | None = field(metadata={"give": "ORG/NAME of a data set on the hub, or null where `file` names yours"})
    config: Sequence[str] = ()
    split: str = field(metadata={"give": "the data set's, or `test` where `file` names yours"})
    revision: str | None = None
    files: Sequence[str] = ()
    file: str | None = None
    answers: str | None = None
    format: str = field(metadata={"give": "one of ours or ./file.py:name (docs/extend/task.md)"})
    columns: Mapping[str, Any] = field(
        metadata={"give": "a mapping such as {question: q, answer: a}, {} for a format of yours"}
    )
    question: str | None = None
    question_until: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    archive: str | None = None
    image_dir: str | None = None
    image: Mapping[str, Any] = field(default_factory=dict)
    image_host: str | None = None
    scorer: str = field(metadata={"give": "short, report, rubric, preference or ./file.py:name"})
    licence: str = field(metadata={"give": "a text, such as `my own`"})
    access: Access = "open"
    restricted: bool = False

    def definition(self) -> dict[str, Any]:
        """The fields that change what a sample is; they enter the data key."""
        told = _TOLD | {name for name in _LATER if not getattr(self, name)}
        said = {name: value for name, value in asdict(self).items() if name not in told}
        said["columns"] = {name: column for name, column in self.columns.items() if name not in _TOLD_COLUMNS}
        scorer = user_code.identity(self.scorer)
        if scorer == "rubric":  # another prompt of ours gives other scores
            scorer = f"rubric {prompts.digest(''.join(map(prompts.load, PROMPTS.values())))}"
        return said | {"format": user_code.identity(self.format), "scorer": scorer}


def load_scorer(name: str, key: str) -> Any:
    """The user's own scorer; None for ours, where the judge votes.

    Raises:
        ConfigError: `name` is neither a scorer nor a reference to a function.
    """
    if name in SCORERS:
        return None
    if not user_code.is_reference(name):
        raise ConfigError.of(key, "not-a-choice", f"'{name}' is none of {', '.join(SCORERS)}, and no ./file.py:name")
    return user_code.load(name, key)


def task_files(config_dirs: Sequence[Path] = ()) -> dict[str, Path]:
    """Every task's file by name; on equal names ours wins."""
    folders = [config_dir() / "eval" / "task", *(folder / "task" for folder in config_dirs)]
    return {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.yaml"))}


def select(
    expression: str | Sequence[str], known: Mapping[str, TaskSpec], broken: Mapping[str, ConfigError] | None = None
) -> list[str]:
    """Names of the tasks that an expression selects, without duplicates, in the order of `known`.

    Args:
        expression: `all` (the 17), `llm`, `vlm`, `open` (those of the 17 that need no credentials), a suite such as
            `medevalkit`, a task's name, or a list of these (`[a,b]` or `a,b`).
        known: every task.
        broken: what is wrong with the files of further tasks; it matters only where one of them is named.

    Raises:
        ConfigError: all unknown names, each with the closest known ones, and what is wrong with named tasks.
    """
    words = expression.strip("[] ").split(",") if isinstance(expression, str) else list(expression)
    wanted: set[str] = set()
    problems: list[Problem] = []
    for word in (str(word).strip() for word in words):
        if word in known:
            wanted.add(word)
        elif broken and word in broken:
            problems += broken[word].problems
        elif word in _GROUPS:
            wanted |= {n for n, spec in known.items() if spec.headline and word in ("all", spec.kind, spec.access)}
        elif members := {name for name, spec in known.items() if word in spec.suites}:
            wanted |= members
        else:
            problems.append(Problem(f"task={word}", "no-such-task", f"there is no such task{_nearest(word, known)}"))
    if problems:
        raise ConfigError(problems)
    return [name for name in known if name in wanted]


def _nearest(word: str, known: Mapping[str, TaskSpec]) -> str:
    names = [*known, *_GROUPS, *dict.fromkeys(suite for spec in known.values() for suite in spec.suites)]
    if near := difflib.get_close_matches(word, names, n=3, cutoff=0.5):
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(names)}"
