"""PyYAML's parsers in Python and in C give the same result for every config file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from medix_r1 import config
from medix_r1.composing import composing
from medix_r1.errors import ConfigError
from tests.support.composed_once import compose_once
from tests.support.configs import ADDRESS, varied
from tests.support.problems import only


def plain(tree: DictConfig | ListConfig) -> str:
    """A config as text, with the types of its values, because 1 equals true in Python."""
    return repr(OmegaConf.to_container(tree, resolve=False))


def test_every_file_of_ours_and_of_verl_says_the_same() -> None:
    files = [*config.config_dir().rglob("*.yaml"), *config.verl_config_dir().rglob("*.yaml")]
    assert len(files) > 100
    for file in files:
        slow = plain(OmegaConf.load(file))
        with composing(config.config_dir()):
            assert plain(OmegaConf.load(file)) == slow, file


def test_it_is_the_parser_in_c_and_only_within() -> None:
    assert yaml.__with_libyaml__
    before = yaml.SafeLoader
    inside: list[object] = []

    def fail() -> None:
        with composing(config.config_dir()):
            inside.append(yaml.SafeLoader)
            raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        fail()
    assert inside == [yaml.CSafeLoader]
    assert yaml.SafeLoader is before


def test_a_composed_config_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["experiment=nano_cpu", ADDRESS]
    quick = plain(config.compose_train(overrides))
    monkeypatch.delattr(yaml, "CSafeLoader")  # as in a PyYAML that came without libyaml
    assert plain(config.compose_train(overrides)) == quick


def test_what_is_no_yaml_is_one_line_with_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "mine.yaml").write_text("# @package _global_\nrun: {name: [a\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.compose_train(["experiment=mine", ADDRESS], [tmp_path])
    [problem] = caught.value.problems
    assert (problem.key, problem.code) == (str(folder / "mine.yaml"), "broken-yaml")
    assert problem.text.startswith("line 3: ")


@pytest.mark.parametrize(
    ("content", "key", "code"),
    [
        ("# @package _global_\ndefaults: [/experiment/mine]\n", "FILE", "broken-yaml"),
        ("# @package _global_\nrun: &a\n  seed: *a\n", "FILE", "broken-yaml"),
        ("# @package _global_\nrun: {name: caf\udce9}\n", "FILE", "broken-yaml"),
        ("# @package _global_\nrun:\n  seed: ${\n", "run.seed", "not-resolved"),
        ("# @package _globl_\nrun: {seed: 3}\n", "_globl_", "no-package-line"),
        ("", "experiment=mine", "no-package-line"),
    ],
)
def test_other_files_that_no_config_can_be_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, key: str, code: str
) -> None:
    compose_once(monkeypatch)
    file = tmp_path / "experiment/mine.yaml"
    file.parent.mkdir()
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, check=only((key.replace("FILE", str(file)), code))):
        config.compose_train(["experiment=mine", ADDRESS], [tmp_path])


@pytest.mark.parametrize(
    "overrides",
    [
        ("experiment=medix_r1_8b_grpo", "placement.judge_gpus=[7]", "judge=vllm", "placement=own_gpus"),
        (
            "experiment=nano_cpu",
            "run.dir=of-${run.seed}",
            "run.seed=???",
            "+actor_rollout_ref.model.override_config.a=b",
        ),
    ],
)
def test_the_quick_way_of_tests_is_the_same(overrides: tuple[str, ...]) -> None:
    assert plain(varied(*overrides)) == plain(config.compose_train(overrides))
