"""Sizes and limits of TransferQueue, from the batch; the driver sets those that a config leaves null."""

from __future__ import annotations

import math
from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf

from medix_r1.training.preflight.rows import batches

_STORAGE = "transfer_queue.backend.SimpleStorage"
UNITS = f"{_STORAGE}.num_data_storage_units"
SIZE = f"{_STORAGE}.total_storage_size"
TIMEOUT = (
    "TQ_SIMPLE_STORAGE_SEND_RECV_TIMEOUT"  # seconds of one request, an environment variable; it is tried three times
)
# verl's and TransferQueue's own values are the least.
_UNITS, _FEW_UNITS = 8, 2
_SIZE = 100_000
_TIMEOUT = 200
_SPARE = 2.0  # rows: prompts that are generated ahead, given up or not yet deleted
# A unit serves its ranks one after the other; 1.1 s a GB were measured on two busy cores, ten times that is allowed.
_SECONDS_OF_A_GB = 11.0
_BYTES_OF_A_TOKEN = 100.0  # ids, masks, positions in three dimensions, log-probs and the like
_BYTES_OF_A_PIXEL = 3.0
PICTURES_OF_A_RANK = 4 * 2**30  # bytes that a rank fetches at most: its cache (verl_plugin/pictures.py)


def units(config: DictConfig, reserved: int, available: int | None) -> int:
    """Storage units: those of the config, else verl's eight, or two where they would not find a logical CPU each.

    Args:
        config: a composed training config.
        reserved: logical CPUs that verl reserves besides.
        available: logical CPUs that Ray has; None if that is not known, as on a running cluster.
    """
    given = OmegaConf.select(config, UNITS)
    if given is not None:
        return int(given)
    return _FEW_UNITS if available is not None and available < reserved + _UNITS else _UNITS


def size(config: DictConfig) -> int:
    """Rows that all units may hold: rollouts and pictures of all batches that a step may generate, twice."""
    batch = batches.of_config(config)
    rows = (batch.rollouts + batch.prompts) * (1 + batch.refills)
    return max(_SIZE, math.ceil(_SPARE * rows))


def timeout(config: DictConfig, units: int) -> int:
    """Seconds that a request to a unit may take: in the worst case it waits for what all ranks fetch of a step."""
    batch = batches.of_config(config)
    pixels = (config.data.get("mm_processor_kwargs") or {}).get("max_pixels") or 0
    prompts = min(batch.prompts, batch.rollouts / batch.ranks)
    pictures = batch.ranks * min(PICTURES_OF_A_RANK, prompts * _BYTES_OF_A_PIXEL * pixels)
    fetched = batch.rollouts * batch.longest * _BYTES_OF_A_TOKEN + pictures
    return max(_TIMEOUT, math.ceil(_SECONDS_OF_A_GB * fetched / 1e9 / units))


def complete(config: DictConfig, units: int) -> None:
    """Set, in place, what the config leaves null."""
    values: Mapping[str, int] = {UNITS: units, SIZE: size(config)}
    for key, value in values.items():
        if OmegaConf.select(config, key) is None:
            OmegaConf.update(config, key, value, force_add=True)
    environment = config.ray_kwargs.ray_init.runtime_env.env_vars
    if TIMEOUT not in environment:
        OmegaConf.update(environment, TIMEOUT, str(timeout(config, units)), force_add=True)
