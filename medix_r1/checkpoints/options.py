"""Options of a merge. Imports nothing slow, so that wrong values are refused at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medix_r1.checkpoints.verification import vllm_answers
from medix_r1.errors import ConfigError, Problem

DTYPES = ("trained", "bf16", "fp16", "fp32")
READERS = {"transformers": ("transformers",), "vllm": ("vllm",), "both": ("transformers", "vllm")}
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
    """Load the result and compare what it answers with what the shards do."""
    verify_with: str = "transformers"
    """One of `READERS`: what loads the result."""
    unsealed: bool = False
    """Merge a checkpoint that medix-r1 did not mark as whole."""
    like: str | None = None
    """Folder or hub name of the base model, whose settings, tokenizer and processor files are kept."""

    @classmethod
    def of(
        cls,
        *,
        dtype: str,
        shard_size: str,
        adapter: bool,
        verify: bool,
        verify_with: str | None = None,
        unsealed: bool = False,
        like: str | None = None,
    ) -> Options:
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
        verify = verify or verify_with is not None
        reader = verify_with or "transformers"
        if reader not in READERS:
            problems.append(Problem(f"--verify-with {reader}", "not-a-choice", f"choose one of {', '.join(READERS)}"))
        elif "vllm" in READERS[reader] and not vllm_answers.is_installed():
            problems.append(
                Problem(
                    f"--verify-with {reader}",
                    "vllm-not-installed",
                    "vLLM is not installed here; install an extra, or choose transformers",
                )
            )
        if adapter and verify:
            problems.append(
                Problem(
                    "--verify",
                    "adapter-cannot-answer",
                    "an adapter is no model that answers; leave --adapter or --verify out",
                )
            )
        if adapter and like is not None:
            problems.append(
                Problem(
                    "--like", "adapter-has-no-settings", "an adapter is loaded over its base model; leave --like out"
                )
            )
        if match is None or problems:
            raise ConfigError(problems)
        size = int(match[1]) * _UNITS[match[2]]
        return cls(
            dtype=dtype,
            shard_size=size,
            adapter=adapter,
            verify=verify,
            verify_with=reader,
            unsealed=unsealed,
            like=like,
        )
