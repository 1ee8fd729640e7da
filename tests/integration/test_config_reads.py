"""What a traced run read (benchmarks/config_reads.py), against the keys that are refused because nothing reads them."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import yaml

from medix_r1.composing import plain
from medix_r1.schema import values
from medix_r1.schema.known import flatten, unread_defaults
from medix_r1.schema.unread import instead
from tests.support.configs import unsettled

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RUNS = json.loads((BENCHMARKS / "results" / "config_reads.json").read_text(encoding="utf-8"))
REASONS = yaml.safe_load((BENCHMARKS / "config_reads.yaml").read_text(encoding="utf-8"))
READ = {key for run in RUNS.values() for key in run["read"]}
SET_BY_US = {  # read, but from what our path or verl puts there, whatever the user wrote
    *("trainer.default_local_dir", "trainer.resume_mode", "trainer.max_actor_ckpt_to_keep"),
    *("trainer.max_critic_ckpt_to_keep", "trainer.v1.sampler.sampler_kwargs.samples_dir"),
    *("reward.reward_manager.name", "reward.reward_manager.source"),
    *("reward.sandbox_fusion.url", "reward.sandbox_fusion.memory_limit_mb"),
    "actor_rollout_ref.actor.optim.total_training_steps",
}


def leaves() -> dict[str, object]:
    """Every key of the traced experiment that holds a value, with those that copy it read when their copy is."""
    tree = plain(unsettled("experiment=nano_cpu"))
    tree.pop("hydra", None)
    sources = values.sources(tree)
    for _ in range(5):  # chains of copies
        READ.update(source for key, source in sources.items() if key in READ)
    return {key: value for key, value in flatten(tree) if not isinstance(value, dict) and not key.endswith("_target_")}


def test_what_a_run_reads_is_not_refused():
    assert READ & unread_defaults().keys() <= SET_BY_US


def test_what_no_run_reads_is_refused_or_has_its_reason():
    patterns = [pattern for listed in REASONS.values() for pattern in listed]
    keys = leaves().keys()
    silent = keys - READ - unread_defaults().keys()

    assert [key for key in sorted(silent) if not any(fnmatch.fnmatch(key, pattern) for pattern in patterns)] == []


def test_a_reason_is_needed():
    silent = leaves().keys() - READ

    assert [
        one for listed in REASONS.values() for one in listed if not any(fnmatch.fnmatch(k, one) for k in silent)
    ] == []


def test_every_refused_key_of_the_table_is_one_that_nothing_reads_or_that_we_set():
    refused = {key for key in unread_defaults() if key in instead()}

    assert refused & READ <= SET_BY_US
