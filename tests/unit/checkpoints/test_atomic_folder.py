"""A folder appears whole or not at all, whatever ends the writing."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medix_r1.checkpoints.atomic_folder import atomic_folder
from medix_r1.errors import CheckpointError
from tests.support.problems import coded


def nothing() -> None:
    """No check."""


def test_it_appears_with_all_its_files(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    with atomic_folder(out, nothing) as folder:
        (folder / "config.json").write_text("{}", encoding="utf-8")
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["model"]
    assert (out / "config.json").read_text(encoding="utf-8") == "{}"


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _terminate_twice() -> None:
    try:
        _terminate()
    finally:
        _terminate()


@pytest.fixture(autouse=True)
def a_terminal() -> Iterator[None]:
    """A hang-up counts, also where the tests run under nohup, which ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def _hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _fail() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("end", "error"),
    [(_terminate, CheckpointError), (_hang_up, CheckpointError), (_interrupt, KeyboardInterrupt), (_fail, OSError)],
)
def test_whatever_ends_it_leaves_nothing(tmp_path: Path, end: Callable[[], None], error: type[BaseException]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(error), atomic_folder(tmp_path / "deep" / "model", nothing) as folder:  # noqa: PT012
        (folder / "half.safetensors").touch()
        end()
    assert list(tmp_path.iterdir()) == []
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_a_second_signal_does_not_cut_the_cleaning_up(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointError, check=coded("ended-by-a-signal", "SIGTERM")),
        atomic_folder(tmp_path / "model", nothing),
    ):
        _terminate_twice()
    assert list(tmp_path.iterdir()) == []


def test_parents_that_were_there_stay(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="No space"), atomic_folder(tmp_path / "there" / "new" / "model", nothing):
        _fail()
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_what_the_check_refuses_is_not_touched(tmp_path: Path) -> None:
    def refuse() -> None:
        raise CheckpointError("no", code="exists-already")

    (tmp_path / "model").mkdir()
    with (
        pytest.raises(CheckpointError, check=coded("exists-already")),
        atomic_folder(tmp_path / "model", refuse),
    ):
        pytest.fail("the block ran")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_link_in_the_place_of_the_temporary_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    (tmp_path / ".model.merging").symlink_to(tmp_path / "thesis")
    with (
        pytest.raises(CheckpointError, check=coded("is-a-link", ".model.merging")),
        atomic_folder(tmp_path / "model", nothing),
    ):
        pytest.fail("the block ran")
    assert (tmp_path / "thesis" / "thesis.tex").exists()


def test_a_link_among_the_leftovers_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    (tmp_path / ".model.merging").mkdir()
    (tmp_path / ".model.merging" / "link").symlink_to(tmp_path / "thesis")
    with atomic_folder(tmp_path / "model", nothing) as folder:
        assert list(folder.iterdir()) == []
    assert (tmp_path / "thesis" / "thesis.tex").exists()
