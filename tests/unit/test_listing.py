"""`medix-r1 list`: every choice of ours has a line, and a user's folder is listed as Hydra finds it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medix_r1 import cli, listing
from medix_r1.config import compose_train, config_dir
from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import read_yaml
from tests.support.problems import only

GROUPS = listing.groups()
CHOICES = [(group, choice) for group in GROUPS for choice in group.choices]


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["list", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(("group", "choice"), CHOICES, ids=lambda part: part.name)
def test_every_choice_has_a_line_of_its_own(group: listing.Group, choice: listing.Choice) -> None:
    assert choice.line, f"{choice.file}: begin it with a comment that says what it is"
    assert choice.line.endswith("."), f"{choice.file}: the first comment line is a sentence that ends on that line"
    assert [other.name for other in group.choices if other.line == choice.line] == [choice.name]


def test_every_file_that_can_be_chosen_is_listed() -> None:
    roots = {config_dir(), config_dir() / "eval", config_dir() / "prepare"}
    files = {file for file in config_dir().rglob("*.yaml") if file.parent not in roots}
    assert {choice.file for _, choice in CHOICES} == files


def test_every_group_has_a_line_and_no_line_is_left_over() -> None:
    lines = read_yaml(config_dir() / "groups.yaml")
    assert set(lines) == {group.name for group in GROUPS}
    assert all(line.endswith(".") for line in lines.values())


def test_the_groups_of_evaluation_and_data_sets_are_among_them() -> None:
    assert {"experiment", "reward", "judge", "eval/task", "eval/judge", "prepare/data"} <= {g.name for g in GROUPS}
    assert shown().splitlines()[0].split()[:2] == ["alarms", "1"]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("# @package _global_\n# A line.\n# Another.\nkey: 1\n", "A line."),
        ("# medix-r1 train reward=x\n# A line.\nkey: 1\n", "A line."),
        ("#   medix-r1 train reward=x\n\n#\n# A line.\n", "A line."),
        ("# @package _global_\nkey: 1\n# Of another key.\n", None),
        ("", None),
        ("# Red \x1b[31mand\u202e more.\n", "Red \ufffd[31mand\ufffd more."),
    ],
)
def test_the_line_is_the_first_comment_that_is_no_directive_and_no_command(
    tmp_path: Path, head: str, line: str | None
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(head, encoding="utf-8")
    assert listing.line_of(file) == line


def test_a_group_shows_its_choices_and_how_to_take_one() -> None:
    output = shown("experiment")
    assert "nano_cpu " in output
    assert "medix-r1 train experiment=NAME" in output
    assert "medix-r1 eval task=NAME" in shown("task") == shown("eval/task")
    assert "medix-r1 data prepare data=NAME" in shown("prepare/data")
    assert "medix-r1 train hydra/launcher=NAME" in shown("launcher")
    assert "defaults: [/recipe: NAME]" in shown("recipe")


def test_json_names_groups_choices_lines_and_files() -> None:
    groups = {entry["group"]: entry for entry in json.loads(shown("--json"))}
    assert groups["eval/task"]["use"] == "medix-r1 eval task=NAME"
    choices = json.loads(shown("reward", "--json"))
    assert [choice["name"] for choice in choices] == groups["reward"]["choices"]
    assert all(Path(choice["file"]).is_file() and choice["line"] for choice in choices)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("expriment", " experiment?"),
        ("tasks", " eval/task?"),
        ("eval/tsk", " eval/task?"),
        ("zzz", "alarms, algorithm"),
        ("", "alarms, algorithm"),
    ],
)
def test_an_unknown_group_is_answered_with_the_nearest(name: str, advice: str) -> None:
    with pytest.raises(ConfigError, check=only((name, "no-such-group"))) as raised:
        listing.find(name, GROUPS)
    assert advice in str(raised.value)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder for --config-dir with choices in groups of training, of evaluation, of both, and in a new group."""
    for group in ("reward", "task", "judge", "mine/deep"):
        (tmp_path / group).mkdir(parents=True)
        (tmp_path / group / "own.yaml").write_text("# @package _global_\n# Ours [of course].\nrun: {seed: 7}\n")
    (tmp_path / "reward" / "composite.yaml").write_text("# Hidden behind the one that comes with the package.\n")
    (tmp_path / "root.yaml").write_text("# No group.\n")
    return tmp_path


def test_a_users_own_folder_is_listed_behind_ours(own: Path) -> None:
    found = {group.name: group for group in listing.groups([own])}
    of_own = {name for name, group in found.items() if any(choice.name == "own" for choice in group.choices)}
    assert of_own == {"reward", "eval/task", "judge", "eval/judge", "mine/deep"}
    assert found["reward"].choices[-1].line == "Ours [of course]."
    assert {choice.file.parent for choice in found["reward"].choices if choice.name == "composite"} == {
        config_dir() / "reward"
    }
    assert "own" in shown("reward", "--config-dir", str(own)).split("\n")[-4]
    assert listing.YOURS in shown("--config-dir", str(own))


def test_what_is_said_of_a_new_group_composes(own: Path) -> None:
    assert "medix-r1 train +mine/deep=NAME" in shown("mine/deep", "--config-dir", str(own))
    assert compose_train(["experiment=nano_cpu", "+mine/deep=own"], [own]).run.seed == 7


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, check=only((f"--config-dir {tmp_path / 'none'}", "no-such-folder"))):
        listing.groups([tmp_path / "none"])


def test_listing_loads_neither_torch_nor_verl() -> None:
    program = (
        "import sys\n"
        "from medix_r1 import cli\n"
        "sys.argv = ['medix-r1', 'list', 'experiment']\n"
        "try: cli.main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "heavy = {'torch', 'verl', 'ray', 'vllm', 'transformers', 'numpy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
