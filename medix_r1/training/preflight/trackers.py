"""Checks `trainer.logger`: trackers that verl knows and that are installed, and a key for W&B."""

from __future__ import annotations

import difflib
import importlib.util
import netrc
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from omegaconf import DictConfig, ListConfig

from medix_r1.errors import Problem
from medix_r1.schema.known import verl_names

_KEY = "trainer.logger"
_KNOWN = "verl.utils.tracking.Tracking.supported_backend"
_MODULES = {  # what a tracker imports, and the package that brings it, where the names differ
    "vemlp_wandb": ("volcengine_ml_platform", "volcengine-ml-platform"),
    "rl_insight": ("rl_insight", "rl-insight"),
    "console": ("", ""),
    "file": ("", ""),
}
_WITHOUT_KEY = ("offline", "disabled", "dryrun")  # values of WANDB_MODE


def tracker_problems(config: DictConfig) -> Iterator[Problem]:
    """Trackers that nobody knows or that are not installed; the file that our progress view reads; W&B's key."""
    named = config.trainer.logger
    loggers = [str(one) for one in (named if isinstance(named, ListConfig) else [named])]
    if "file" not in loggers:
        yield Problem(_KEY, "file-logger-missing", "keep `file` in the list; the progress view reads it")
    known = verl_names(_KNOWN)
    for name in loggers:
        module, package = _MODULES.get(name, (name, name))
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            says = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            yield Problem(_KEY, "not-a-choice", f"there is no tracker '{name}'; {says}")
        elif module and importlib.util.find_spec(module) is None:
            yield Problem(_KEY, "not-installed", f"{name} is not installed: pip install {package}")


def wandb_problems(config: DictConfig) -> Iterator[Problem]:
    """A W&B tracker that would ask for a key."""
    if "wandb" in config.trainer.logger and os.environ.get("WANDB_MODE") not in _WITHOUT_KEY and not _wandb_has_a_key():
        yield Problem(
            _KEY,
            "wandb-without-key",
            "wandb needs WANDB_API_KEY in the environment, `wandb login`, or WANDB_MODE=offline or disabled",
        )


def _wandb_has_a_key() -> bool:
    """Whether there is a key in the environment or in the netrc file, where `wandb login` saves it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    if importlib.util.find_spec("wandb") is None:
        return False
    import wandb

    server = os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(server).netloc)
    except (OSError, netrc.NetrcParseError):
        return False
    return found is not None
