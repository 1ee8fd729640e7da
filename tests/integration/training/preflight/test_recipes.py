"""The public recipes, value by value: ours is theirs or says why not, and somebody reads each key."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medix_r1 import config as configs
from medix_r1.host.yaml_text import read_yaml
from tests.support.configs import composed

TABLE = read_yaml(Path(__file__).parents[3] / "unit" / "golden" / "public_recipes.yaml")
FIELDS = {"theirs", "ours", "value", "read_by", "difference", "note"}
RECIPES = ("medix_r1_2b_dapo", "medix_r1_7b_gspo", "medix_r1_8b_grpo", "medix_r1_8b_dapo", "medix_r1_30b_dapo")
# Keys of the same meaning that stand in verl's YAML and are read nowhere, so ours must not rely on them.
IGNORED_BY_VERL = ("freeze_vision_tower",)


@cache
def source(module: str) -> str:
    """Read a module's file; verl's are found by their path, as looking for a submodule would import verl."""
    package, *parts = module.split(".")
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0], *parts)
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


def expected(row: dict, recipe: str):
    value = row["value"]
    if not isinstance(value, dict):
        return value
    return value.get(recipe, value.get("other", ...))  # ...: the recipe does not use it


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_value_is_that_of_the_public_recipe(recipe):
    config = composed(f"experiment={recipe}")
    wrong = {}
    for row in TABLE:
        value = OmegaConf.select(config, row["ours"], throw_on_missing=True)
        value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if expected(row, recipe) is not ... and value != expected(row, recipe):
            wrong[row["ours"]] = (value, expected(row, recipe))

    assert wrong == {}


@pytest.mark.parametrize("row", TABLE, ids=[f"{row['theirs']}={row['ours']}" for row in TABLE])
def test_every_key_is_read(row):
    *ours, module, text = row["read_by"]

    assert module.startswith("medix_r1." if ours else "verl.")
    assert text in source(module)
    key = row["ours"].rpartition(".")[2]
    assert not re.search(rf"[.\]]{key}\s*=(?!=)", text), "a write is no reading"


@pytest.mark.parametrize("row", [row for row in TABLE if "difference" in row], ids=lambda row: row["ours"])
def test_a_difference_says_why(row):
    assert len(row["difference"].split()) >= 8, "a reason, not a hint at another row"


def test_no_text_of_the_table_was_cut_at_a_comma():
    assert [row for row in TABLE if set(row) - FIELDS] == []


def test_a_limit_on_tries_counts_prompts():
    """Theirs: 20 tries of 128 prompts. The comment in configs/recipe/medix_r1.yaml says why ours are more."""
    config = composed("experiment=medix_r1_2b_dapo")
    assert 20 * 128 == 2560
    assert config.run.max_refills * config.data.train_batch_size == 10240


@pytest.mark.parametrize("name", IGNORED_BY_VERL)
def test_verl_still_ignores_it(name):
    """When verl starts to read one of these, our own way of doing it must go."""
    spec = importlib.util.find_spec("verl")
    assert spec is not None
    readers = []
    for path in Path(spec.submodule_search_locations[0]).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if name in text:
            readers += [
                path.name
                for node in ast.walk(ast.parse(text))
                if (isinstance(node, ast.Attribute) and node.attr == name)
                or (isinstance(node, ast.Constant) and node.value == name)
            ]

    assert readers == []


def test_a_frozen_vision_tower_reaches_the_key_that_our_engine_reads():
    config = composed("experiment=nano_cpu", "actor_rollout_ref.actor.freeze_vision_tower=true")

    assert config.actor_rollout_ref.model.lora.freeze_vision_model is True
    assert config.actor_rollout_ref.model.external_lib == "medix_r1.training.verl_plugin.engine"


def sweep(experiment: str) -> dict[str, list[str]]:
    tree = read_yaml(configs.config_dir() / "experiment" / f"{experiment}.yaml")
    assert tree["hydra"]["mode"] == "MULTIRUN"
    return {key: value.split(",") for key, value in tree["hydra"]["sweeper"]["params"].items()}


@pytest.mark.parametrize(
    ("experiment", "key", "count"),
    [
        ("ablation_reward", "reward", 5),
        ("ablation_algorithm", "algorithm", 3),
        ("ablation_backbone", "model", 3),
        ("nano_ablation_reward", "reward", 5),
    ],
)
def test_an_ablation_names_choices_that_exist(experiment, key, count):
    choices = sweep(experiment)[key]

    assert len(set(choices)) == count
    assert all((configs.config_dir() / key / f"{choice}.yaml").is_file() for choice in choices)


def test_the_reward_ablation_covers_the_papers_mixes():
    weighted = set()
    for choice in sweep("ablation_reward")["reward"]:
        config = composed("experiment=nano_cpu", f"reward={choice}")
        weighted.add(frozenset(name for name, weight in config.reward.weights.items() if weight))

    assert len(weighted) == 5
    assert {
        frozenset({"llm", "embed", "format", "modality"}),
        frozenset({"llm", "embed", "format"}),
    } <= weighted


@pytest.mark.parametrize(
    ("words", "seeding"),
    [
        *(([f"experiment={recipe}"], "none") for recipe in (*RECIPES, "medix_r1_2b_gpu24")),
        (["experiment=medix_r1_8b_dapo", "rollout.seeding=rollout"], "rollout"),
        (["experiment=nano_cpu"], "rollout"),
        (["experiment=nano_cpu", "hardware=cpu2"], "rollout"),
        (["experiment=nano_cpu", "rollout.seeding=none"], "none"),
    ],
)
def test_replies_have_seeds_of_their_own_where_runs_are_to_be_equal(words, seeding):
    """vLLM draws for seeded requests one by one, which GPU recipes pay only if they ask for it (docs/scale.md)."""
    assert composed(*words).rollout.seeding == seeding
