"""A task of a user's own with its own format and scorer: checked, copied into the result, part of its key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from medix_r1.errors import ConfigError, DataError
from medix_r1.evaluation import run as runs
from medix_r1.evaluation.rejudge import rejudge
from medix_r1.evaluation.results.records import Record, read_run
from medix_r1.evaluation.settings import compose_eval
from tests.support.chat_stub import ChatStub
from tests.support.problems import codes

QUIET = Console(quiet=True)
CODE = """
from medix_r1.evaluation.benchmarks.formats import Parts


def triage(row, task):
    return Parts(question=row["note"], reference=row["level"])


def near(item, reply):
    if reply.answer == "raise":
        raise KeyError("level")
    if not reply.answer.isdigit():
        return None  # the judge reads it
    return 1 - abs(int(reply.answer) - int(item.reference)) / 4
"""
ROWS = [("chest pain", 2), ("sprained ankle", 4), ("cut finger", 5)]
ANSWERS = {"chest pain": "1", "sprained ankle": "four", "cut finger": "5"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: code, rows, and the task's file."""
    (tmp_path / "triage.py").write_text(CODE)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"note": n, "level": str(lv)}) + "\n" for n, lv in ROWS))
    write_task(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_task(folder: Path, **changes: object) -> None:
    (folder / "configs" / "task").mkdir(parents=True, exist_ok=True)
    task = {
        "name": "triage",
        "kind": "llm",
        "headline": False,
        "path": None,
        "split": "test",
        "file": "rows.jsonl",
        "format": "./triage.py:triage",
        "columns": {},
        "scorer": "./triage.py:near",
        "licence": "mine",
    }
    (folder / "configs" / "task" / "triage.yaml").write_text(yaml.safe_dump({**task, **changes}))


@pytest.fixture
def policy():
    def answer(request):
        text = str(request["messages"][-1]["content"])
        return f"<thinking>so</thinking><answer>{next(a for note, a in ANSWERS.items() if note in text)}</answer>"

    with ChatStub(answer, "policy") as stub:
        yield stub


@pytest.fixture
def judge():
    with ChatStub(lambda request: "YES, the same level", "judge") as stub:
        yield stub


@pytest.fixture
def words(here, policy, judge) -> Callable[..., list[str]]:
    def make(*more: str) -> list[str]:
        judges = f"judge.judges=[{{model: judge, base_url: '{judge.address}'}}]"
        return ["model=policy", f"base_url={policy.address}", "task=triage", "judge=remote", judges, *more]

    return make


def evaluate(here: Path, words: list[str]) -> tuple[Path, list[Record]]:
    outcome = runs.run(runs.plan(compose_eval(words, [here / "configs"])), QUIET)
    return outcome.folder, outcome.records["triage"]


def test_rows_and_scores_are_the_users_own(here, words, judge) -> None:
    folder, records = evaluate(here, words())

    assert [record.question for record in records] == [note for note, _ in ROWS]
    assert [record.score for record in records] == [0.75, 1.0, 1.0]
    assert [record.judge_free for record in records] == [True, False, True]
    assert len(judge.calls) == 3  # votes on the one that the scorer left to the judge
    (copy,) = (folder / "code").glob("*.py")
    assert copy.read_text() == CODE
    assert read_run(folder)[0].extra["scorers"] == {"triage": f"code/{copy.name}:near"}


def test_a_changed_scorer_judges_the_saved_replies_again_and_mixes_nothing(here, words, policy) -> None:
    folder, _ = evaluate(here, words())
    asked = len(policy.calls)
    (here / "triage.py").write_text(CODE.replace("/ 4", "/ 2"))

    # a changed file is another module in another process; here it is given another name
    (here / "triage.py").rename(here / "triage2.py")
    write_task(here, format="./triage2.py:triage", scorer="./triage2.py:near")
    again, records = evaluate(here, words())

    assert again == folder
    assert [record.score for record in records] == [0.5, 1.0, 1.0]
    assert len([path for path in folder.iterdir() if path.name.startswith("triage@")]) == 1
    assert len(policy.calls) == 2 * asked  # the format is in that file too, so what is asked may have changed


def test_with_its_format_unchanged_nothing_is_generated_again(here, words, policy) -> None:
    folder, _ = evaluate(here, words())
    asked = len(policy.calls)
    (here / "strict.py").write_text("def strict(item, reply):\n    return float(reply.answer == item.reference)\n")
    write_task(here, scorer="./strict.py:strict")
    planned = runs.plan(compose_eval(words(), [here / "configs"]))
    work = runs.remaining_work(planned, planned.tasks[0])
    assert (work.replies, work.judgements) == (0, 3)

    again, records = evaluate(here, words())

    assert (again, len(policy.calls)) == (folder, asked)
    assert [record.score for record in records] == [0.0, 0.0, 1.0]


def test_the_code_of_a_result_judges_it_again_without_the_users_folder(here, words, judge) -> None:
    folder, records = evaluate(here, words())
    (here / "triage.py").unlink()
    judges = f"judge.judges=[{{model: judge, base_url: '{judge.address}'}}]"

    second = rejudge(folder, ["judge=remote", judges, "judge.seeds=[7]"], [], QUIET).second

    assert [record.score for record in second.records["triage"]] == [record.score for record in records]
    assert (second.folder / "code").is_dir()


def test_a_scorer_that_raises_leaves_the_sample_without_a_score(here, words, monkeypatch) -> None:
    monkeypatch.setitem(ANSWERS, "cut finger", "raise")

    _, records = evaluate(here, words())

    assert [record.score for record in records] == [0.75, 1.0, None]
    assert "KeyError" in (records[2].unscored or "")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format": "./none.py:triage"}, ("tasks.triage.format", "no-such-file")),
        ({"format": "./triage.py:triag"}, ("tasks.triage.format", "not-loadable")),
        ({"format": "opne"}, ("tasks.triage.format", "not-a-choice")),
        ({"scorer": "shrot"}, ("tasks.triage.scorer", "not-a-choice")),
        ({"scorer": "no_such_module:f"}, ("tasks.triage.scorer", "not-loadable")),
    ],
)
def test_code_that_is_not_there_is_a_problem_of_its_key(here, words, changes, code) -> None:
    write_task(here, **changes)
    with pytest.raises(ConfigError) as caught:
        compose_eval(words(), [here / "configs"])
    assert codes(caught.value) == [code]


@pytest.mark.parametrize("body", ["return row['levle']", "return row['level']"])
def test_a_format_that_fails_on_a_row_is_named_with_the_row(here, words, body) -> None:
    (here / "wrong.py").write_text(f"def wrong(row, task):\n    {body}\n")
    write_task(here, format="./wrong.py:wrong")
    with pytest.raises(DataError) as caught:
        runs.plan(compose_eval(words(), [here / "configs"]))
    assert [problem.key for problem in caught.value.problems] == [f"triage row {row}" for row in range(3)]
