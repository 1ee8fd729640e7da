"""A run that commit 795c22a made, before the modules moved: it resumes, and every verb reads it as that commit did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from typer.testing import CliRunner

from medix_r1 import cli
from medix_r1.checkpoints.model_card import model_card
from medix_r1.config import compose_train, flatten
from medix_r1.host.yaml_text import read_yaml
from medix_r1.reports.facts import differences, facts
from medix_r1.rewards.build import build_reward
from medix_r1.runs import checkpoints, provenance
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.runs.scored_rollout import ScoredRollout, with_think
from medix_r1.schema.moved_names import replace_moved
from medix_r1.training.command import resume
from medix_r1.training.verl_plugin.reward_metrics import heldout_metrics, reward_metrics
from tests.support.old_run import SAID, STEP, overrides, unpack


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    folder = unpack(tmp_path)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    """What the run's own command line composes now."""
    return compose_train(overrides(unpack(tmp_path_factory.mktemp("clone"))))


def said(name: str) -> str:
    return (SAID / name).read_text(encoding="utf-8")


def medix(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return result.output


def test_nothing_keeps_it_from_going_on(old: RunFolder, today: DictConfig) -> None:
    files = {"train_files": [today.data.train_files], "val_files": list(today.data.val_files)}
    for file in (Path(name) for names in files.values() for name in names):
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table({"row": [1]}), file)
    record = provenance.read(old)
    record["data"] = {key: [provenance.fingerprint(Path(name)) for name in names] for key, names in files.items()}
    (old.root / "provenance.json").write_text(json.dumps(record))

    assert checkpoints.latest(old.checkpoints) == old.checkpoints / f"global_step_{STEP}"
    assert checkpoints.best(old.checkpoints) == old.checkpoints / f"global_step_{STEP}"
    changed = resume.differences(old.config, today)
    assert {(difference.key, difference.safe) for difference in changed} == {
        ("reward.signals.grade._target_", True),  # a monitor that it did not have
        ("ray_kwargs.ray_init.runtime_env.env_vars.MEDIX_R1_NCCL_TIMEOUT", True),
        ("transfer_queue.backend.SimpleStorage.total_storage_size", True),  # from the batch
        ("run.stall_limit", True),  # the nano experiment takes judges with a longer patience
        ("run.silence_limit", True),
        ("trainer.v1.sampler.sampler_kwargs.stall_limit", True),
    }
    assert resume.problems(old, today, changed) == []


def test_a_true_change_is_still_one(old: RunFolder, today: DictConfig) -> None:
    other = today.copy()
    other.trainer.v1.sampler.custom_sampler.path = "pkg://my.sampler"

    changed = {difference.key: difference.safe for difference in resume.differences(old.config, other)}

    assert [key for key, safe in changed.items() if not safe] == ["trainer.v1.sampler.custom_sampler.path"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("reward.weights.grade", 0.0),
        ("reward.weight_tables.source", {"slake": {"grade": 1.0}}),
        ("reward.gate", "grade"),
    ],
)
def test_a_new_signal_that_counts_is_a_true_change(
    old: RunFolder, today: DictConfig, setting: str, value: object
) -> None:
    other = today.copy()
    OmegaConf.update(other, setting, value, force_add=True)

    changed = {difference.key: difference.safe for difference in resume.differences(old.config, other)}

    assert not changed["reward.signals.grade._target_"]


def test_old_names_in_its_command_line_are_no_change(old: RunFolder, today: DictConfig) -> None:
    again = compose_train([*overrides(old), "trainer.v1.sampler.custom_sampler.path=pkg://medix_r1.training.sampler"])

    assert again == today


def test_every_key_that_it_had_is_still_one(old: RunFolder, today: DictConfig) -> None:
    before, now = read_yaml(old.config), OmegaConf.to_container(today)
    assert isinstance(now, dict)

    gone = {key for key, _ in flatten(before)} - {key for key, _ in flatten({str(key): now[key] for key in now})}

    assert gone == {"ray_kwargs.ray_init._temp_dir"}  # the launcher adds it


def test_status_shows_what_it_showed(old: RunFolder) -> None:
    shown = medix("status", str(old.root)).splitlines()

    assert shown[1:] == said("status.txt").splitlines()


def test_samples_shows_what_it_showed(old: RunFolder) -> None:
    shown = medix("samples", str(old.root), "--step", str(STEP), "--sort", "embed-llm", "--limit", "2")

    lines = [line.rstrip() for line in shown.splitlines() if not line.startswith("images")]
    assert lines == [line.rstrip() for line in said("samples.txt").splitlines()]


def test_compare_finds_the_same_numbers(old: RunFolder, tmp_path: Path) -> None:
    medix("compare", str(old.root), "--out", str(tmp_path / "table"))

    assert (tmp_path / "table" / "compare.csv").read_text(encoding="utf-8") == said("compare.csv")


def test_compare_does_not_take_moved_names_for_another_kind_of_run(old: RunFolder, tmp_path: Path) -> None:
    """The same run made again today: its config names the modules as they are called now."""
    second = unpack(tmp_path / "second")
    config = read_yaml(second.config)
    replace_moved(config, config, warn=False)
    config["run"]["seed"] = 2
    second.config.write_text(yaml.safe_dump(config))

    shown = medix("compare", str(old.root), str(second.root), "--out", str(tmp_path / "table"))

    assert "they differ in" not in shown


def test_the_report_has_the_same_facts(old: RunFolder, tmp_path: Path) -> None:
    assert facts(old) == json.loads(said("facts.json"))
    shown = differences(old)
    assert shown["actor_rollout_ref.rollout.response_length"][1] == "40"
    assert not [key for key, (_, here) in shown.items() if "medix_r1." in here]  # no moved name among them

    medix("report", str(old.root), "--out", str(tmp_path / "report.html"))

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "795c22a043c9" in page
    assert "fundus photo" in page


def test_a_merged_model_has_the_same_card(old: RunFolder) -> None:
    card = model_card(old.checkpoints / f"global_step_{STEP}", dtype="float32")

    assert [line for line in card.splitlines() if line.startswith("|")] == said("model_card.md").splitlines()


def recorded(old: RunFolder, split: str) -> list[ScoredRollout]:
    return [ScoredRollout(**line) for line in read_lines(old.samples / split / f"{STEP:06d}.jsonl")]


def names(metrics: Mapping[str, float], *prefixes: str) -> set[str]:
    return {name for name in metrics if name.startswith(prefixes) and "/by_modality/" not in name}


def test_metrics_have_the_names_and_values_that_they_had(old: RunFolder, today: DictConfig) -> None:
    before, logged = json.loads(said("metrics.json")), old.metrics_by_step()[STEP]
    train = reward_metrics(recorded(old, "train"), "reward")
    heldout = heldout_metrics(recorded(old, "validation"))

    assert train == pytest.approx(before["train"], rel=1e-12)
    assert heldout == pytest.approx(before["validation"], rel=1e-12)
    # The whole step had more modalities; every other name of the reward's is there again.
    served = {f"reward/{name}" for name in build_reward(today.reward).statistics()}
    latencies = {f"reward/llm/latency_{name}" for name in ("p50", "p95", "max")}  # of calls, of which none was made
    dropped = {"reward/dropped_share"}  # by the sampler
    assert names(train, "reward/") | served | latencies | dropped == names(logged, "reward/")
    assert names(heldout, "heldout/", "selection/") == names(logged, "heldout/", "selection/")
    assert train.keys() | heldout.keys() <= logged.keys()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_line_of_its_samples_is_a_line_of_todays(old: RunFolder, split: str) -> None:
    lines = list(read_lines(old.samples / split / f"{STEP:06d}.jsonl"))

    assert [with_think(json.loads(json.dumps(rollout.to_line()))) for rollout in recorded(old, split)] == lines
