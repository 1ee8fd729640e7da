"""Write medix_r1/serving/vllm_arguments.json: the arguments of `vllm serve`, each with what it takes.

verl hands `rollout.engine_kwargs.vllm` to vLLM as such arguments, and a judge's `server.arguments` are such already. An
unknown one ends a run when its engine starts. Importing vLLM takes many seconds, so the checks read this list.
tests/integration/training/verl_plugin/test_compatibility.py fails if the installed vLLM differs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vllm.entrypoints.openai.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

TARGET = Path(__file__).parent.parent / "medix_r1" / "serving" / "vllm_arguments.json"


def vllm_arguments() -> dict[str, str | list[str]]:
    """Argument without its dashes (a short one keeps its dash) → flag, int, number, size (as 4k), any, or choices."""
    found: dict[str, str | list[str]] = {}
    for action in make_arg_parser(FlexibleArgumentParser())._actions:
        for option in action.option_strings:
            found[option.removeprefix("--")] = _takes(action)
    return dict(sorted(found.items()))


def _takes(action: argparse.Action) -> str | list[str]:
    if action.nargs == 0:
        return "flag"
    if action.nargs is not None:
        return "any"
    if action.choices is not None:
        words = [str(choice) for choice in action.choices]
        return words if _reads(action, "3") != 3 else "int"
    if any(_reads(action, word) is not None for word in ("x", "{}")) or _reads(action, "3") is None:
        return "any"  # texts, or JSON
    if _reads(action, "4k") is not None:
        return "size"
    return "int" if _reads(action, "3.5") is None else "number"


def _reads(action: argparse.Action, word: str) -> object:
    """What its parser makes of a word; None if it refuses it."""
    read = action.type
    if not callable(read):
        return word
    try:
        return read(word)
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return None


if __name__ == "__main__":
    TARGET.write_text(json.dumps(vllm_arguments(), indent=1) + "\n", encoding="utf-8")
