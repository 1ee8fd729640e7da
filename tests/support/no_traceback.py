"""What `medix-r1 check` and `train` say of any overrides: problems, never another error."""

from __future__ import annotations

from collections.abc import Sequence

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.training.preflight import checks
from medix_r1.training.preflight.machine import placement
from medix_r1.training.preflight.rows import batches


def said(words: Sequence[str]) -> list[Problem]:
    """The problems of `check experiment=nano_cpu WORDS`, with what it computes for its tables."""
    try:
        composed = configs.composed_train(["experiment=nano_cpu", *words])
    except ConfigError as error:
        return list(error.problems)
    problems = checks.problems_of(composed)
    if not problems:
        batches.of_config(composed.config).lines()
        placement.gpu_pools(composed.config)
    return problems
