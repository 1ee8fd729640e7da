"""Dotted names of commit 795c22a, before the modules moved: each leads to something that exists today."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from medix_r1.config import compose_reward, compose_serve, compose_train
from medix_r1.data.settings import compose_prepare
from medix_r1.evaluation.settings import compose_eval
from medix_r1.schema import moved_names
from medix_r1.schema.moved_names import MOVED, current, moved, replace_moved

ROOT = Path(__file__).parents[3]
MODULES = (ROOT / "tests/data/modules_795c22a.txt").read_text(encoding="utf-8").split()
# Every dotted name of ours in configs/ and examples/ of that commit, and in its docs as something to write into YAML.
NAMES = [
    "medix_r1.collector.look_seldom",
    "medix_r1.data.sources.folder.folder",
    "medix_r1.data.sources.lines.CsvSource",
    "medix_r1.data.sources.lines.JsonlSource",
    "medix_r1.data.sources.parquet.ParquetSource",
    "medix_r1.data.sources.parquet.medix_rl",
    "medix_r1.models.embedder.SentenceTransformerEmbedder",
    "medix_r1.models.judge.ChatJudge",
    "medix_r1.models.remote_embedder.RemoteEmbedder",
    "medix_r1.models.ensemble.voting.VotingJudge",
    "medix_r1.rewards.adapters.EasyR1Reward",
    "medix_r1.rewards.adapters.TrlReward",
    "medix_r1.rewards.embed.EmbeddingReward",
    "medix_r1.rewards.exact.ExactMatch",
    "medix_r1.rewards.format.FormatReward",
    "medix_r1.rewards.hedging.HedgingMonitor",
    "medix_r1.rewards.laterality.LateralityMonitor",
    "medix_r1.rewards.length.LengthMonitor",
    "medix_r1.rewards.llm.JudgeReward",
    "medix_r1.rewards.modality.ModalityReward",
    "medix_r1.rewards.negation.NegationMonitor",
    "medix_r1.rewards.numeric.NumericMonitor",
    "medix_r1.rewards.repetition.RepetitionMonitor",
    "medix_r1.training.alarms.Above",
    "medix_r1.training.alarms.Falls",
    "medix_r1.training.alarms.Parts",
    "medix_r1.training.alarms.Rises",
    "medix_r1.training.engine",
    "medix_r1.training.optimizer",
    "medix_r1.training.optimizer.CompensatedAdamW",
    "medix_r1.training.plugin",
    "pkg://medix_r1.training.job_wide",
    "pkg://medix_r1.training.reward_manager",
    "pkg://medix_r1.training.sampler",
]
# No config can name anything in these: what trained the demo's models, and parts of the CPU engine that verl_plugin/cpu
# divides differently. `evaluation.phases` is a package now; `judging` was one.
GONE = re.compile(
    r"medix_r1\.(demo\.(evaluation|judge_\w+|nano_\w+|policy|tokenizer|warm_start)"
    r"|training\.cpu\.(engine|worker_extension)|judging)"
)


@pytest.fixture(autouse=True)
def _nothing_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_names, "_logged", set())


def file_of(module: str) -> Path | None:
    """A module's file, found without importing anything: packages above it may import verl."""
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def exists(name: str) -> bool:
    """Whether there is a module of this name, or one that defines or imports the last part of it."""
    if file_of(name):
        return True
    module, _, last = name.rpartition(".")
    file = file_of(module)
    assert file is not None, f"{name}: there is no module {module}"
    body = ast.parse(file.read_text(encoding="utf-8")).body
    imported = {alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    return last in imported | {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_an_old_config_leads_to_something_that_exists(name: str) -> None:
    now = current(name)
    assert now.startswith("pkg://") == name.startswith("pkg://")
    assert exists(now.removeprefix("pkg://"))


@pytest.mark.parametrize("module", MODULES)
def test_every_old_module_is_where_it_was_or_where_the_table_says(module: str) -> None:
    if not GONE.fullmatch(module):
        assert exists(current(module))


def test_the_table_hides_nothing_that_exists() -> None:
    """An old name that is in use again must not be in the table: it would be replaced."""
    modules = set(MOVED).intersection(MODULES)
    assert len(modules) > 50
    assert not any(file_of(module) for module in modules)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("medix_r1.training.alarms.Falls", "medix_r1.runs.alarms.Falls"),
        ("medix_r1.collector.look_seldom", "medix_r1.host.gc_tuning.tune_for_imports"),
        ("pkg://medix_r1.training.sampler", "pkg://medix_r1.training.verl_plugin.sampler"),
        ("medix_r1.training.optimizer:CompensatedAdamW", "medix_r1.training.verl_plugin.optimizer:CompensatedAdamW"),
        ("my.plugin,medix_r1.training.plugin", "my.plugin,medix_r1.training.verl_plugin.plugin"),
        ("medix_r1.training.cpu.platform", "medix_r1.training.verl_plugin.cpu.platform"),
    ],
)
def test_names_are_found_in_every_form_that_a_config_has(before: str, now: str) -> None:
    assert current(before) == now
    assert current(now) == now


@pytest.mark.parametrize(
    "text",
    [
        "medix_r1.training.samplers",  # somebody's own
        "mymedix_r1.training.sampler",
        "outputs/medix_r1.training.sampler",
        "I wrote medix_r1.training.sampler anew",
        "medix_r1.rewards.llm.JudgeReward",
        "",
    ],
)
def test_any_other_text_stays(text: str) -> None:
    assert current(text) == text


def test_names_are_replaced_wherever_they_stand_in_a_tree() -> None:
    tree = {"a": [{"b": "medix_r1.training.alarms.Falls"}, 1, None], "medix_r1.training.alarms": "c"}

    assert list(moved(tree)) == [(("a", 0, "b"), "medix_r1.training.alarms.Falls", "medix_r1.runs.alarms.Falls")]
    replace_moved(tree, tree)
    assert tree == {"a": [{"b": "medix_r1.runs.alarms.Falls"}, 1, None], "medix_r1.training.alarms": "c"}


def test_a_users_experiment_works_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = tmp_path / "experiment" / "own.yaml"
    own.parent.mkdir()
    own.write_text(
        "# @package _global_\n"
        "alarms: {format_falls: {_target_: medix_r1.training.alarms.Falls}}\n"
        "actor_rollout_ref: {model: {external_lib: [medix_r1.training.engine, my.own]}}\n"
    )
    overrides = ["experiment=own", "trainer.v1.sampler.custom_sampler.path=pkg://medix_r1.training.sampler"]

    for _ in range(2):  # the launcher composes again when it has chosen a port
        config = compose_train(overrides, [tmp_path])

    assert config.alarms.format_falls._target_ == "medix_r1.runs.alarms.Falls"
    assert config.actor_rollout_ref.model.external_lib == ["medix_r1.training.verl_plugin.engine", "my.own"]
    assert config.trainer.v1.sampler.custom_sampler.path == "pkg://medix_r1.training.verl_plugin.sampler"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    for key, now in (
        ("alarms.format_falls._target_", "medix_r1.runs.alarms.Falls"),
        ("actor_rollout_ref.model.external_lib.0", "medix_r1.training.verl_plugin.engine"),
        ("trainer.v1.sampler.custom_sampler.path", "pkg://medix_r1.training.verl_plugin.sampler"),
    ):
        assert any(line.startswith(f"{key}: ") and now in line for line in told)


JUDGE = "judge.client._target_=medix_r1.before.judge.ChatJudge"
SOURCE = "data._target_=medix_r1.before.lines.JsonlSource"


def test_every_root_knows_the_table(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(
        moved_names,
        "MOVED",
        {"medix_r1.before": "medix_r1.models", "medix_r1.before.lines": "medix_r1.data.sources.lines"},
    )
    remote = ["judge=remote", "judge.client.base_url=http://127.0.0.1:1/v1"]

    assert compose_reward([*remote, JUDGE]).judge.client._target_ == "medix_r1.models.judge.ChatJudge"
    assert compose_serve([JUDGE]).judge.client._target_ == "medix_r1.models.judge.ChatJudge"
    assert compose_prepare(["data=jsonl", SOURCE])["data"]["_target_"] == "medix_r1.data.sources.lines.JsonlSource"
    settings = compose_eval(["model=m", "task=mmlu_anatomy", "revision=medix_r1.before.judge"])
    assert settings.revision == "medix_r1.models.judge"
    assert len(caplog.records) == 3  # the judge's key is the same in two roots, and is told once


def test_the_changelog_has_the_same_table() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("| before | now |")[1].split("\n\n")[0]
    told = {}
    for line in text.splitlines()[2:]:
        before, now = line.strip("|").split(" | ")
        old, new = (re.findall(r"`([\w.]+)`", cell) for cell in (before, now))
        if old[0].endswith("."):
            names = new[1:] or old[1:]
            told |= {old[0] + name: new[0] + today for name, today in zip(old[1:], names, strict=True)}
        else:
            told[old[0]] = new[0]
    in_no_config = {old for old, new in told.items() if new.startswith("tools.") or old == "medix_r1.evaluation.phases"}
    assert {old: new for old, new in told.items() if old not in in_no_config} == MOVED
