from pathlib import Path

import pytest

from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema import values
from medix_r1.schema.known import known_keys, other_names, other_projects, unread_defaults
from medix_r1.schema.unknown import unknown
from medix_r1.schema.unread import instead, replacement

RECIPES = read_yaml(Path(__file__).parents[1] / "golden" / "public_recipes.yaml")
NOT_IN_BASES = {"actor_rollout_ref.model.lora", "data.mm_processor_kwargs", "ray_kwargs.ray_init"}  # what is below


@pytest.mark.parametrize("key", [key for key in values.rules() if "*" not in key])
def test_a_rule_is_about_a_key_that_is_there(key):
    assert key in known_keys() or any(key.startswith(f"{node}.") for node in NOT_IN_BASES)


def test_every_key_of_the_public_recipes_has_our_name():
    renamed = {row["theirs"]: row["ours"] for row in RECIPES if row["theirs"] not in ("–", *known_keys())}

    assert set(renamed) <= set(other_names())
    for theirs in renamed:
        ours = {row["ours"] for row in RECIPES if row["theirs"] == theirs}
        assert other_names()[theirs].partition(" ")[0] in ours


def test_no_key_of_ours_is_taken_for_another_projects():
    assert not set(other_names()) & known_keys()


@pytest.mark.parametrize("name", instead())
def test_what_nothing_reads_is_in_the_generated_list(name):
    assert any(replacement(key) == instead()[name] for key in unread_defaults())


SCRIPTS = read_yaml(Path(__file__).parents[1] / "golden" / "public_scripts.yaml")
EASYR1 = [one for one in SCRIPTS if "base" in one]


@pytest.mark.parametrize("script", EASYR1, ids=lambda one: one["name"])
def test_every_key_of_a_public_easyr1_script_is_in_the_table(script):
    keys = {key for key in {**script["base"], **script["keys"]} if not key.endswith(("override_config", "_kwargs"))}

    assert keys <= set(other_projects()["easyr1"])


def test_each_entry_says_what_becomes_of_the_key():
    for keys in other_projects().values():
        for key, entry in keys.items():
            assert entry.keys() <= {
                "ours",
                "said",
                "values",
                "default",
                "by",
                "not_needed",
                "none",
                "instead",
                "keep_null",
            }
            assert entry.keys() & {"ours", "by", "not_needed", "none"}, key


def test_a_whole_key_of_ours_behind_a_node_that_it_is_not_in_is_meant():
    """As a user writes it who looks for the seeds of replies beside their other settings."""
    assert "did you mean rollout.seeding?" in unknown("actor_rollout_ref.rollout.seeding").text
    assert "did you mean run.seed?" in unknown("config.run.seed").text
    assert "did you mean run.seed?" in unknown("run.sed").text
