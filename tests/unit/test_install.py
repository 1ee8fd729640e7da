"""scripts/install.sh chooses a Python, and reports what is missing before the long installation."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
HALF_MADE = "mkdir -p .venv/bin && touch .venv/bin/python && chmod +x .venv/bin/python"
LIBRARY, ENVIRONMENT = "-c", "-m"  # the option with which python is called: to load libnuma, to make the environment
SHELL = "/bin/sh"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The two scripts in a folder of their own, whose name has a space; `bin` beside it is the whole PATH."""
    (tmp_path / "bin").mkdir()
    for tool in ("dirname", "basename", "mkdir", "touch", "chmod", "cp"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    scripts = tmp_path / "a clone" / "scripts"
    scripts.mkdir(parents=True)
    for name in ("install.sh", "find_python.sh"):
        shutil.copy(SCRIPTS / name, scripts)
    return tmp_path


def python(repository: Path, name: str, version: str, fails: str = "nothing") -> Path:
    """A Python of that version which cannot do one thing."""
    path = repository / "bin" / name
    path.write_text(
        f"#!{SHELL}\n"
        f'case "$1" in --version) echo "Python {version}" ;; {fails}) {HALF_MADE}; exit 1 ;;\n'
        f"{ENVIRONMENT}) mkdir -p .venv/bin && touch .venv/bin/pip && chmod +x .venv/bin/pip\n"
        'cp "$0" .venv/bin/python ;;\n'
        "esac\n"
    )
    path.chmod(0o755)
    return path


def install(repository: Path, *arguments: str, script: str = "install.sh") -> subprocess.CompletedProcess[str]:
    path = repository / "a clone" / "scripts" / script
    return subprocess.run(
        [str(path), *arguments],
        env={"PATH": str(repository / "bin")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=repository / "a clone",
    )


@pytest.mark.parametrize("name", ["python3.11", "python3.12"])
@pytest.mark.parametrize(("option", "package"), [(LIBRARY, "libnuma1"), (ENVIRONMENT, "{name}-venv")])
def test_what_is_missing_is_named_with_its_package(repository: Path, name: str, option: str, package: str) -> None:
    python(repository, name, f"{name.removeprefix('python')}.7", fails=option)
    for _ in range(2):  # the second time over what the first has left
        done = install(repository)
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith(f"apt install {package.format(name=name)}")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3.11": "3.11.2", "python3.12": "3.12.3", "python3": "3.12.3"}, "python3.11"),
        ({"python3.12": "3.12.3", "python3": "3.12.3"}, "python3.12"),
        ({"python3": "3.12.3"}, "python3"),
        ({"python3.11": "", "python3": "3.12.3"}, "python3"),  # a shim that leads nowhere
    ],
)
def test_the_first_that_fits_is_taken(repository: Path, there: dict[str, str], taken: str) -> None:
    for name, version in there.items():
        python(repository, name, version)
    done = install(repository, script="find_python.sh")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, taken, "")


def test_it_says_which_one_it_took(repository: Path) -> None:
    python(repository, "python3.12", "3.12.3")
    assert "with Python 3.12.3 (asked for: python3.12)" in install(repository).stdout


@pytest.mark.parametrize(
    ("asked", "says"), [("python3.13", "python3.13 is Python 3.13.5"), ("python3.9", "no Python that starts")]
)
def test_another_one_is_refused_in_one_line(repository: Path, asked: str, says: str) -> None:
    python(repository, "python3.13", "3.13.5")
    python(repository, "python3.11", "3.11.2")
    done = install(repository, asked)
    assert done.returncode == 1
    assert says in done.stderr
    assert "3.11 or 3.12" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (repository / "a clone" / ".venv").exists()


def test_none_that_fits(repository: Path) -> None:
    """As on Debian 13."""
    python(repository, "python3", "3.13.5")
    done = install(repository)
    assert done.returncode == 1
    assert "apt install python3.12-venv" in done.stderr
    assert "uv python install 3.12" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_environment_of_another_python_is_not_taken_for_the_one_asked_for(repository: Path) -> None:
    python(repository, "python3.11", "3.11.2")
    python(repository, "python3.12", "3.12.3")
    install(repository)
    done = install(repository, "python3.12")
    assert done.returncode == 1
    assert ".venv has Python 3.11.2" in done.stderr
    assert "remove .venv first" in done.stderr
