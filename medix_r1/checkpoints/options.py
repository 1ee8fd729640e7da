"""Options of a merge. Imports nothing slow, so that wrong values are refused at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medix_r1.errors import ConfigError, Problem

DTYPES = ("trained", "bf16", "fp16", "fp32")
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([1-9]\d*)\s*(MB|GB|TB)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Format of the folder that a merge writes."""

    dtype: str = "trained"
    """One of `DTYPES`; `trained` keeps each parameter's own."""
    shard_size: int = 5_000_000_000
    """Bytes of weights in one file."""
    adapter: bool = False
    """Write the LoRA adapter as a PEFT folder instead of merging it in."""
    verify: bool = False
    """Load the result and compare its logits with those of the shards."""
    unsealed: bool = False
    """Merge a checkpoint that medix-r1 did not mark as whole."""

    @classmethod
    def of(cls, *, dtype: str, shard_size: str, adapter: bool, verify: bool, unsealed: bool = False) -> Options:
        """Parse the options of a command line.

        Raises:
            ConfigError: all wrong values together.
        """
        problems = []
        if dtype not in DTYPES:
            problems.append(Problem(f"--dtype {dtype}", "not-a-choice", f"choose one of {', '.join(DTYPES)}"))
        match = _SIZE.fullmatch(shard_size.strip().upper())
        if match is None:
            problems.append(Problem(f"--shard-size {shard_size}", "not-a-size", "give a size like 5GB or 500MB"))
        if adapter and verify:
            problems.append(
                Problem(
                    "--verify",
                    "adapter-cannot-answer",
                    "an adapter is no model that answers; leave --adapter or --verify out",
                )
            )
        if match is None or problems:
            raise ConfigError(problems)
        size = int(match[1]) * _UNITS[match[2]]
        return cls(dtype=dtype, shard_size=size, adapter=adapter, verify=verify, unsealed=unsealed)
