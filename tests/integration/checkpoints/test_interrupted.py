"""Whatever happens to a merge while it writes: one line says it, and nothing half-written is left."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medix_r1.checkpoints import model_files, watch
from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.parameters.weights import Writer
from medix_r1.checkpoints.target import explained
from medix_r1.errors import CheckpointError
from tests.integration.checkpoints.plain import config, save, state_of
from tests.support.problems import coded


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return save(tmp_path / "run", state_of(config()))


def after_the_first_parameter(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    write, done = Writer.write, list[str]()

    def interrupted(self: Writer, name: str, blocks: object) -> None:
        write(self, name, blocks)  # type: ignore[arg-type]
        if not done:
            act()
        done.append(name)

    monkeypatch.setattr(Writer, "write", interrupted)
    monkeypatch.setattr(watch, "_LOOK_EVERY", 0.0)


def shard_of(folder: Path) -> Path:
    return folder / "actor" / "model_world_size_1_rank_0.pt"


def replaced(folder: Path) -> None:
    """As a save that writes atomically does."""
    shutil.copy(shard_of(folder), folder / "new.pt")
    (folder / "new.pt").replace(shard_of(folder))


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (shutil.rmtree, "source-deleted"),
        (lambda folder: shard_of(folder).write_bytes(b""), "source-overwritten"),
        (replaced, "source-overwritten"),
        (lambda folder: os.utime(folder / "actor" / "huggingface" / "config.json", (1, 1)), "source-overwritten"),
    ],
)
def test_a_source_that_changes_meanwhile(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object], code: str
) -> None:
    after_the_first_parameter(monkeypatch, lambda: act(good))
    with pytest.raises(CheckpointError, check=coded(code, good / "actor")):
        merge(good, tmp_path / "out" / "model")
    assert not (tmp_path / "out").exists()


def test_a_source_that_vanishes_after_the_weights(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its shards are mapped and go on being readable, its settings are not."""
    copy = model_files.copy

    def late(huggingface: Path, folder: Path) -> None:
        shutil.rmtree(good)
        copy(huggingface, folder)

    monkeypatch.setattr(model_files, "copy", late)
    with pytest.raises(CheckpointError, check=coded("source-unreadable", good)):
        merge(good, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


COMMAND = """
import signal, sys
from pathlib import Path
from medix_r1.checkpoints.parameters.weights import Writer
from medix_r1 import cli
write = Writer.write
def told(self, name, blocks):
    write(self, name, blocks)
    print("written", file=sys.stderr, flush=True)
    sys.stdin.readline()
Writer.write = told
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup takes away from the tests and all that they start
sys.argv = ["medix-r1", "merge", sys.argv[1], "--out", sys.argv[2]]
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_asked_to_end(good: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", COMMAND, str(good), str(tmp_path / "new" / "model")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        assert process.stderr.readline() == b"written\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, b"")
    assert output.decode() == f"error: ended by {number.name}; nothing was written\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_limit_on_the_size_of_files(good: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "medix_r1.cli", "merge", str(good), "--out", str(tmp_path / "model")]
    limit = 20_000  # bytes; the model has more
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("\n") == 1
    assert "--shard-size" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_full_disk(good: Path) -> None:
    """A device file that answers ENOSPC to every write stands for one."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left") as caught:
        full.write(b"x")
    assert coded("cannot-write", "inodes")(explained(caught.value, Path("/model"), good))


@pytest.mark.parametrize("out", ["/proc/model", "/sys/model"])
def test_a_place_where_nobody_may_write(good: Path, out: str) -> None:
    if not Path(out).parent.is_dir():
        pytest.skip(f"no {Path(out).parent}")
    with pytest.raises(CheckpointError, check=coded("cannot-write", out)):
        merge(good, Path(out))


def test_a_file_above_the_folder(good: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, check=coded("cannot-write", tmp_path / "file")):
        merge(good, tmp_path / "file" / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]


def test_a_link_to_another_disk_stays_a_link(good: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "model").symlink_to(tmp_path / "scratch" / "model")

    merge(good, tmp_path / "model")
    merge(good, tmp_path / "model", force=True)

    assert (tmp_path / "model").is_symlink()
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["model"]
    assert (tmp_path / "scratch" / "model" / "model.safetensors").is_file()
