"""What the check of rollout correction accepts and refuses, against verl's own reading."""

import itertools

import pytest
from omegaconf import OmegaConf
from verl.trainer.ppo import rollout_corr_helper

from medix_r1.training.preflight.correction import REJECTIONS, correction_problems

SPECS = [1, 0.01, "2.0", "0.5_2", "2_0.5", "0_1", "-1", "x", "1,2", "0.5_2,0.1", "0.5_2,0.5_3", "_2", "1__2"]
RULES = ["token_k1", "token_k2", "token_k1,seq_sum_k3", "seq_sum_k1,seq_mean_k1"]


def passes(**values) -> bool:
    node = {"rollout_is": None, "rollout_is_threshold": 2.0, "rollout_rs": None, "rollout_rs_threshold": None}
    tree = {
        "algorithm": {"rollout_correction": {**node, "bypass_mode": False, **values}},
        "actor_rollout_ref": {"rollout": {"calculate_log_probs": True}},
    }
    return not list(correction_problems(OmegaConf.create(tree)))


def test_the_rejections_are_verls():
    assert set(REJECTIONS) == rollout_corr_helper.SUPPORTED_ROLLOUT_RS_OPTIONS


@pytest.mark.parametrize(("rules", "spec"), list(itertools.product(RULES, SPECS)))
def test_thresholds_of_rejections(rules, spec):
    try:
        rollout_corr_helper._parse_rollout_rs_thresholds(rules.split(","), spec)
        takes = True
    except (ValueError, TypeError, ZeroDivisionError):
        takes = False
    assert passes(rollout_rs=rules, rollout_rs_threshold=spec) == takes


@pytest.mark.parametrize("spec", SPECS)
def test_thresholds_of_weights(spec):
    try:
        rollout_corr_helper._parse_rollout_is_threshold(spec)
        takes = True
    except (ValueError, TypeError):
        takes = False
    assert passes(rollout_is="token", rollout_is_threshold=spec) == takes
