"""Which probes a reward that reads confidences gets, and what a confidence behind a reply does to its bounds."""

from __future__ import annotations

import math
from typing import Any

import pytest
from omegaconf import OmegaConf

from medix_r1.confidence import split_confidence
from medix_r1.config import compose_reward
from medix_r1.errors import ConfigError
from medix_r1.scoring.probes.confident import OF_CONFIDENCE, probes_for
from medix_r1.scoring.probes.probe_file import load
from tests.support.problems import only

REWARD: dict[str, Any] = OmegaConf.to_container(compose_reward(["reward=calibrated"]).reward, resolve=True)  # type: ignore[assignment]
W = 0.1


def test_other_rewards_get_the_probes_as_they_stand() -> None:
    assert probes_for({"confidence": "none"}) == load()
    assert probes_for({}) == load()


def test_a_file_of_ones_own_is_taken_as_it_stands() -> None:
    assert probes_for(REWARD, OF_CONFIDENCE) == load(OF_CONFIDENCE)


def test_every_probe_gets_a_confidence_and_its_bound_moves_by_the_weight() -> None:
    before, after = {p.name: p for p in load()}, {p.name: p for p in probes_for(REWARD)}
    assert len(after) == len(before) + len(load(OF_CONFIDENCE))
    for name, plain in before.items():
        stated = after[name]
        if stated == plain:
            assert plain.is_attack
            continue
        assert split_confidence(stated.reply, "required").value == float(not plain.is_attack), name
        if "overall" in plain.bounds:
            assert stated.bounds["overall"] == pytest.approx(plain.bounds["overall"] * (1 - W) + W)
    assert after["forged_instructions/01"].bounds["overall"] == pytest.approx(0.235)


def test_the_bounds_on_confidences_follow_from_the_weights() -> None:
    weights = REWARD["weights"]
    llm, embed, form, tag, own = (weights[name] for name in ("llm", "embed", "format", "modality", "calibration"))
    reached = {
        0.14: form + tag,
        0.21: form + tag + 0.75 * own,
        0.24: form + tag + own,
        0.91: 1 - own,
        0.98: 1 - own / 4,
        0.82: llm + embed + tag,
        0.05: tag,
        0.99: 1.0,
    }
    used = {p.bounds["overall"] for p in load(OF_CONFIDENCE)}
    assert used == set(reached)
    assert all(math.isclose(bound, reached[bound], abs_tol=0.0101) for bound in used)


def test_families_are_chosen_among_both() -> None:
    names = {p.family for p in probes_for(REWARD, families=["hedges", "unreadable_confidence"])}
    assert names == {"hedges", "unreadable_confidence"}
    with pytest.raises(ConfigError, check=only(("--family unread", "no-such-family"))):
        probes_for(REWARD, families=["unread"])


def test_what_the_probes_call_unreadable_is_unreadable() -> None:
    for p in load(OF_CONFIDENCE, ["unreadable_confidence", "misplaced_confidence"]):
        assert split_confidence(p.reply, "required").value is None or "<confidence>" in p.reply.split("</answer>")[0]
