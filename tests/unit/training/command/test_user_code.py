"""Files of a user's own in a training config: composed, checked, copied into the run, and compared when it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from medix_r1.errors import ConfigError
from medix_r1.runs import checkpoints, provenance
from medix_r1.runs.folder import RunFolder
from medix_r1.training.command import launch, resume
from medix_r1.training.command.plan import Plan
from tests.support.configs import varied
from tests.support.problems import codes, only

SIGNAL = """
from medix_r1.rewards.base import Score


class Brevity:
    def __init__(self, *, words):
        self.words = words

    def score(self, sample):
        return Score(1.0, "short")
"""
KEY = "reward.signals.brief._target_"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a signal in it."""
    (tmp_path / "brief.py").write_text(SIGNAL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def composed(*overrides: str) -> Any:
    no_data = ["data.train_files=[]", "data.val_files=[]"]
    return varied("experiment=nano_cpu", "judge.server.port=8123", *no_data, *overrides)


def with_signal(file: str = "./brief.py") -> Any:
    return composed(f"+reward.signals.brief._target_={file}:Brevity", "+reward.signals.brief.words=6")


@pytest.fixture
def run(here: Path) -> RunFolder:
    """A run's folder as the launcher leaves it."""
    folder = RunFolder(here / "run")
    folder.create()
    planned = Plan(with_signal(), folder, None, [])
    launch._write_config(planned, Path("/tmp/ray"))
    provenance.write(folder, planned.config)
    return folder


def test_a_relative_file_is_composed_with_its_whole_path(here: Path) -> None:
    assert with_signal().reward.signals.brief._target_ == f"{here}/brief.py:Brevity"


def test_arguments_of_a_class_in_a_file_are_keys_like_all_others(here: Path) -> None:
    check = only(("reward.signals.brief.words", "no-value"), ("reward.signals.brief.word", "no-such-key"))
    with pytest.raises(ConfigError, check=check) as caught:
        composed("+reward.signals.brief._target_=brief.py:Brevity", "+reward.signals.brief.word=6")
    assert " reward.signals.brief.words?" in str(caught.value)


def test_every_target_that_leads_to_nothing_is_named_by_its_key(here: Path) -> None:
    targets = {
        "reward.signals.brief": ("./none.py:Brevity", "no-such-file"),
        "judge.client": ("./brief.py:Judge", "not-loadable"),
        "alarms.format_falls": ("nowhere:Rule", "not-loadable"),
        "embedder": ("./brief.py:Score.value", "not-callable"),
    }
    with pytest.raises(ConfigError) as caught:
        composed(*(f"++{key}._target_={target}" for key, (target, _) in targets.items()))

    assert set(codes(caught.value)) >= {(f"{key}._target_", code) for key, (_, code) in targets.items()}
    assert not [problem for problem in caught.value.problems if problem.key.startswith("reward.signals.llm")]


def test_the_run_loads_a_copy_whose_name_holds_its_content(here: Path, run: RunFolder) -> None:
    (copy,) = run.code.glob("*.py")

    assert OmegaConf.load(run.config).reward.signals.brief._target_ == f"{copy}:Brevity"
    assert copy.read_text() == SIGNAL
    record = provenance.read(run)["user_code"]
    assert record.keys() == {copy.name}
    assert record[copy.name]["from"] == str(here / "brief.py")
    assert copy.stem == f"brief_{record[copy.name]['sha256'][:8]}"


def test_the_same_file_is_no_difference_wherever_it_lies(here: Path, run: RunFolder) -> None:
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "brief.py").write_text(SIGNAL)
    (copy,) = run.code.glob("*.py")

    for file in ("./brief.py", "elsewhere/brief.py", str(copy)):
        assert resume.differences(run.config, with_signal(file)) == []


def test_a_changed_plug_in_is_a_difference_that_is_not_safe(here: Path) -> None:
    folder = RunFolder(here / "run")
    folder.create()
    launch._write_config(Plan(composed("run.plugins=[./brief.py,json]"), folder, None, []), Path("/tmp/ray"))
    (copy,) = folder.code.glob("*.py")
    assert OmegaConf.load(folder.config).run.plugins == [str(copy), "json"]
    assert resume.differences(folder.config, composed("run.plugins=[./brief.py,json]")) == []

    (here / "brief.py").write_text(SIGNAL.replace("1.0", "0.5"))

    (changed,) = resume.differences(folder.config, composed("run.plugins=[./brief.py,json]"))
    assert (changed.key, changed.safe) == ("run.plugins", False)


def test_a_changed_file_is_refused_where_checkpoints_were_made_with_the_old_one(here: Path, run: RunFolder) -> None:
    (here / "brief.py").write_text(SIGNAL.replace("1.0", "0.5"))
    step = run.checkpoints / "global_step_5"
    step.mkdir()
    checkpoints.seal(step)

    changed = resume.differences(run.config, with_signal())

    assert [(difference.key, difference.safe) for difference in changed] == [(KEY, False)]
    assert (KEY, "not-safe-to-change") in codes(resume.problems(run, with_signal(), changed))
