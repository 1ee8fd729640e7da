from pathlib import Path

import pytest
import yaml

from medix_r1.schema import values
from medix_r1.schema.known import known_keys, other_names, unread_defaults
from medix_r1.schema.unread import instead, replacement

RECIPES = yaml.safe_load((Path(__file__).parents[1] / "golden" / "public_recipes.yaml").read_text(encoding="utf-8"))
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
