"""Skeletons work as they are written: their own tests pass, and the commands that are printed are understood."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from medix_r1.skeletons.kinds import Kind
from medix_r1.skeletons.new import skeleton

ROOT = Path(__file__).parents[3]


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", Kind)
def test_the_test_of_a_skeleton_passes(kind, tmp_path):
    made = run("-P", "-m", "medix_r1.cli", "new", kind, "my_thing", cwd=tmp_path)
    assert made.returncode == 0, made.stdout

    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_thing.py", cwd=tmp_path)

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("kind", "number", "said"),
    [(Kind.REWARD, 1, "my_thing"), (Kind.TASK, 1, "Chest pain"), (Kind.ALGORITHM, 1, "problem")],
)
def test_what_is_printed_next_works(kind, number, said, tmp_path):
    run("-P", "-m", "medix_r1.cli", "new", kind, "my_thing", cwd=tmp_path)
    words = shlex.split(skeleton(kind, "my_thing")["next.txt"].splitlines()[number])

    done = run("-P", "-m", "medix_r1.cli", *words[1:], cwd=tmp_path)

    assert said in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not [
        line for line in done.stdout.splitlines() if line.strip().startswith(("- algorithm", "- run", "- reward"))
    ]
