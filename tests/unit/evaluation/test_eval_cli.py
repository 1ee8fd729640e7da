import io

from rich.console import Console
from typer.testing import CliRunner

from medix_r1.cli import app
from medix_r1.errors import ConfigError
from medix_r1.evaluation import show
from medix_r1.evaluation.settings import known_tasks
from tests.support.problems import codes

RUNNER = CliRunner()


def test_without_a_verb_it_runs_an_evaluation() -> None:
    for words in (["eval", "model=m", "task=slake"], ["eval", "run", "model=m", "task=slake"]):
        result = RUNNER.invoke(app, words)
        assert isinstance(result.exception, ConfigError)
        assert codes(result.exception) == [("task=slake", "no-such-task")]
    assert isinstance(RUNNER.invoke(app, ["eval", "--dry-run", "model=m"]).exception, ConfigError)


def test_help_lists_every_verb_with_an_example() -> None:
    for words in (["eval"], ["eval", "--help"]):
        text = RUNNER.invoke(app, words).output
        assert all(verb in text for verb in ("run", "rejudge", "tasks", "compare", "submit", "blind"))
    assert "rejudge outputs/eval" in " ".join(RUNNER.invoke(app, ["eval", "rejudge", "--help"]).output.split())


def test_wrong_usage_is_exit_code_2() -> None:
    assert RUNNER.invoke(app, ["eval", "--limit", "0", "model=m"]).exit_code == 2
    assert RUNNER.invoke(app, ["eval", "rejudge"]).exit_code == 2


def test_tasks_are_listed() -> None:
    result = RUNNER.invoke(app, ["eval", "tasks"])
    assert result.exit_code == 0
    assert "slake_vqa" in result.output


def test_in_a_narrow_terminal_no_name_of_a_task_is_broken() -> None:
    file = io.StringIO()
    show.tasks(Console(width=80, file=file), [])
    lines = file.getvalue().splitlines()
    assert set(known_tasks()) <= set(lines)
    assert max(map(len, lines)) <= 80
