"""Where a merge may write: never over a checkpoint, a folder that is more than a model, or the current one."""

import errno
import os
from pathlib import Path

import pytest

from medix_r1.checkpoints.target import check_target, explained, resolved
from medix_r1.errors import CheckpointError
from tests.support.problems import coded


def model(folder: Path, *more: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "README.md", *more):
        (folder / name).touch()
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with one checkpoint, whose huggingface folder looks like a model."""
    step = tmp_path / "run" / "checkpoints" / "global_step_3"
    model(step / "actor" / "huggingface")
    (step / "actor" / "fsdp_config.json").touch()
    return tmp_path / "run"


@pytest.mark.parametrize(
    "inside",
    [
        "checkpoints",
        "checkpoints/model",
        "checkpoints/global_step_3",
        "checkpoints/global_step_9/new",
        "checkpoints/global_step_3/actor",
        "checkpoints/global_step_3/actor/huggingface",
        "checkpoints/global_step_3/actor/merged/deep",
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_into_a_checkpoint(run: Path, inside: str, force: bool) -> None:
    with pytest.raises(CheckpointError, check=coded("inside-a-checkpoint", run / "checkpoints")):
        check_target(resolved(run / inside), force=force)


def test_a_link_into_a_checkpoint_is_followed_before_it_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run / "checkpoints" / "global_step_3" / "actor" / "huggingface")
    with pytest.raises(CheckpointError, check=coded("inside-a-checkpoint")):
        check_target(resolved(tmp_path / "link"), force=True)


def test_a_model_beside_the_checkpoints_is_fine(run: Path) -> None:
    check_target(resolved(run / "model"), force=False)


def test_a_link_to_another_disk_is_followed(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "scratch")
    (tmp_path / "dangling").symlink_to(tmp_path / "later")
    assert resolved(tmp_path / "out") == tmp_path / "scratch"
    assert resolved(tmp_path / "dangling") == tmp_path / "later"


def test_links_in_a_circle_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CheckpointError, check=coded("links-in-a-circle", tmp_path / "a")):
        resolved(tmp_path / "a")


@pytest.mark.parametrize("out", [".", "..", "/", "../here", "link"])
def test_the_current_folder_and_those_above_it_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(CheckpointError, check=coded("current-folder", f"--out {out}")):
        resolved(Path(out))


def test_a_model_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = model(tmp_path / "model", "tokenizer.json", ".gitattributes", "chat_template.jinja")
    with pytest.raises(CheckpointError, check=coded("exists-already", "--force")):
        check_target(out, force=False)
    check_target(out, force=True)


@pytest.mark.parametrize("name", ["thesis.tex", "train.py", "config"])
def test_a_folder_with_more_than_a_model_in_it_is_not_replaced(tmp_path: Path, name: str) -> None:
    out = model(tmp_path / "model", name)
    with pytest.raises(CheckpointError, check=coded("more-than-a-model", name)):
        check_target(out, force=True)


def test_a_model_folder_with_folders_or_links_in_it_is_not_replaced(tmp_path: Path) -> None:
    out = model(tmp_path / "model")
    (out / "data.json").mkdir()
    (out / "linked.json").symlink_to(tmp_path)
    with pytest.raises(CheckpointError, check=coded("more-than-a-model", "data.json, linked.json")):
        check_target(out, force=True)


def test_the_base_model_is_not_replaced(tmp_path: Path) -> None:
    out = model(tmp_path / "base")
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(CheckpointError, check=coded("the-base-model", out)):
        check_target(out, force=True, base=tmp_path / "link")
    check_target(out, force=True, base=tmp_path / "another")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "inodes"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "--shard-size"),
        (errno.EROFS, "another folder"),
        (errno.EACCES, "another folder"),
    ],
)
def test_what_the_system_refuses_is_said_in_one_line(tmp_path: Path, number: int, advice: str) -> None:
    error = explained(OSError(number, os.strerror(number)), tmp_path / "model", tmp_path / "source")
    assert coded("cannot-write", tmp_path / "model", os.strerror(number), advice)(error)
    assert "\n" not in str(error)


def test_a_source_that_vanished_is_told_from_a_target(tmp_path: Path) -> None:
    lost = tmp_path / "source" / "actor" / "huggingface" / "config.json"
    error = explained(
        FileNotFoundError(errno.ENOENT, "No such file or directory", str(lost)), tmp_path / "model", tmp_path / "source"
    )
    assert coded("source-unreadable", lost)(error)
