import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medix_r1 import cli
from medix_r1.errors import ConfigError, Problem, TrainingError

VERBS = [
    ["train"],
    ["list"],
    ["serve"],
    ["merge"],
    ["doctor"],
    ["demo"],
    ["demo", "build"],
    ["demo", "evaluate"],
    ["demo", "run"],
]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["medix-r1", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_shows_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    assert run(monkeypatch, *verb, "--help") == 0
    assert f"medix-r1 {' '.join(verb)}" in " ".join(
        capsys.readouterr().out.split("Usage:")[1].split("\n", 2)[2].split()
    )


@pytest.mark.parametrize(
    "arguments",
    [["no-such-verb"], ["train", "--no-such-option"], ["merge"], ["merge", "x"], ["demo", "evaluate", "x"]],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    assert run(monkeypatch, *arguments) == 2


@pytest.mark.parametrize(
    ("arguments", "key", "names"),
    [
        (["merge", "/nowhere", "--out", "/nowhere/model"], "error: /nowhere: ", "RUN/checkpoints/"),
        (["serve", "judge=nanno"], "- judge=nanno: ", "nano?"),
        (["serve", "judge.servr.port=1"], "- judge.servr.port: ", "judge.server.port?"),
        (["serve", "judge=remote"], "- judge=remote: ", "judge=nano"),
        (["serve", "judge.server.port=99999"], "- judge.server.port: ", "99999"),
        (["serve", "judge=nano", "demo_dir=/nowhere"], "- judge.server.model: ", "medix-r1 demo build"),
        (
            ["demo", "evaluate", "m", "--out", "x.json", "--judge-url", "http://127.0.0.1:9/v1"],
            "error: --judge-url: ",
            "http://127.0.0.1:9/v1",
        ),
        (["demo", "build", "--only", "pictures"], "- only: ", "pictures"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], key: str, names: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")  # without vLLM there would be a line more
    assert run(monkeypatch, *arguments) == 1
    output = capsys.readouterr().out
    assert key in output
    assert names in " ".join(output.split()).partition(key)[2]
    assert len(output.splitlines()) <= 2


def test_errors_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(error: Exception) -> int:
        def app() -> None:
            raise error

        monkeypatch.setattr(cli, "app", app)
        return run(monkeypatch)

    assert fail(TrainingError("a [bracket] stays")) == 1
    assert fail(ConfigError([Problem("first", "x", "[one]"), Problem("", "y", "second")])) == 1
    assert capsys.readouterr().out == ("error: a [bracket] stays\n2 problem(s):\n  - first: [one]\n  - second\n")


def test_help_loads_nothing_heavy() -> None:
    """Few imports make `--help` fast (README.md has the time); a test of the time would depend on the machine."""
    program = (
        "import sys\n"
        "from medix_r1 import cli\n"
        f"for verb in {[[], *VERBS]}:\n"
        "    sys.argv = ['medix-r1', *verb, '--help']\n"
        "    try: cli.main()\n"
        "    except SystemExit as ended: assert not ended.code\n"
        "heavy = {'torch', 'verl', 'ray', 'vllm', 'transformers', 'hydra', 'numpy', 'pandas', 'openai'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
