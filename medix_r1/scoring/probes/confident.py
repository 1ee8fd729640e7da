"""The probes of a reward that reads confidences: those of every reward with one behind each reply, and some of its own.

An attack says 0 and a right answer 1: each gets from the calibration what it can get. So a wrong answer may earn the
weight of the calibration besides, and all bounds move by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medix_r1.rewards.calibration_bounds import calibrated, weight_in
from medix_r1.scoring.probes.probe_file import BUILT_IN, Probe, chosen, load

OF_CONFIDENCE = Path(__file__).with_name("confidence.yaml")
_OVERALL = "overall"
_ENDS_WITH_ANSWER = re.compile(r"</answer>\s*\Z")


def probes_for(reward: Mapping[Any, Any], file: Path | None = None, families: Sequence[str] = ()) -> list[Probe]:
    """The probes for a reward.

    Args:
        reward: the `reward` node of a config.
        file: a user's own probes, which are taken as they stand.
        families: names of the families to return; all by default.

    Raises:
        ConfigError: as `probe_file.load`.
    """
    if file is not None or reward.get("confidence", "none") == "none":
        return load(file or BUILT_IN, families)
    weight = sum(weight_in(reward, name) for name in calibrated(reward))
    return chosen([*(_stated(probe, weight) for probe in load()), *load(OF_CONFIDENCE)], families)


def _stated(probe: Probe, weight: float) -> Probe:
    if probe.is_attack and not _ENDS_WITH_ANSWER.search(probe.reply):
        return probe  # without an answer, or with something behind it, a confidence would say nothing
    bounds = dict(probe.bounds)
    if _OVERALL in bounds:
        bounds[_OVERALL] = bounds[_OVERALL] * (1.0 - weight) + weight
    return replace(probe, bounds=bounds, reply=f"{probe.reply}<confidence>{int(not probe.is_attack)}</confidence>")
