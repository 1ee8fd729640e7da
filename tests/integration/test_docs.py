"""Every command in the README, CONTRIBUTING and docs/ is one that exists, and every file they point at is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from medix_r1.config import compose_train
from medix_r1.sweeps.expand import expand

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))]
GROUPS = {"demo", "reward", "rubric", "judge", "data", "eval"}  # verbs that have verbs of their own
_COMMAND = re.compile(r"^\s*(?:\$ )?(medix-r1 [^#\n|`]+|make [a-z][a-z0-9-]*)", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)\)")
_CELL = re.compile(r"^\| [^|]+ \| `(medix-r1 [^`]+)`", re.MULTILINE)  # of a table of commands
_FENCE = re.compile(r"```(?:bash|sh|console)\n(.*?)```", re.DOTALL)

_FILE = re.compile(r"(?<![\w/.-])(?:tests|scripts|benchmarks|requirements|configs)/[\w/.-]*\w(?:::\w+)?")


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in _FENCE.findall(page.read_text(encoding="utf-8")):
            found += [(page.name, match[1].strip()) for match in _COMMAND.finditer(block)]
        if page.name == "how_do_i.md":
            found += [(page.name, line) for line in _CELL.findall(page.read_text(encoding="utf-8"))]
    return sorted(set(found))


def test_there_are_commands_to_check() -> None:
    assert {command for _, command in commands()} >= {"make demo", "make test"}


@pytest.mark.parametrize(("page", "command"), commands())
def test_the_command_exists(page: str, command: str) -> None:
    program, verb, *words = shlex.split(command)
    if program == "make":
        subprocess.run(["make", "--dry-run", verb], cwd=ROOT, check=True, capture_output=True)
        return
    from typer.testing import CliRunner

    from medix_r1.cli import app

    path = [verb, *words[:1]] if verb in GROUPS and "=" not in words[0] else [verb]
    assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0, f"{page}: {command}"
    overrides = [word for word in words if "=" in word and not word.startswith("--")]
    if verb == "train" and "-m" in words:
        assert len(expand(overrides).jobs) > 1
    elif verb == "train":
        compose_train(overrides)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} points at {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_repository_in_a_command_exists(page: Path) -> None:
    for block in _FENCE.findall(page.read_text(encoding="utf-8")):
        for word in _FILE.findall(block):
            name, _, test = word.partition("::")
            assert (ROOT / name).exists(), f"{page.name}: {name}"
            assert not test or f"def {test}(" in (ROOT / name).read_text(encoding="utf-8"), f"{page.name}: {word}"
