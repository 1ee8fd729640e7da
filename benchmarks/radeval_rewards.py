"""RadEval's own rewards through our adapter: their values beside a direct call, and seconds a reply.

    python benchmarks/radeval_rewards.py PYTHON

PYTHON is the interpreter of an environment with `pip install radeval`. Kept in results/radeval_rewards.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from typing import Any

import results_file

from medix_r1.grammar import Completion, Reference
from medix_r1.rewards.adapters import TrlReward
from medix_r1.rewards.base import Sample

METRICS: dict[str, dict[str, Any]] = {"bleu": {}, "rouge": {"key": "rougeL"}}
PAIRS = (
    ("Small left pleural effusion. No pneumothorax.", "There is a small left pleural effusion. No pneumothorax."),
    ("Large right pleural effusion. No pneumothorax.", "There is a small left pleural effusion. No pneumothorax."),
    ("The heart is enlarged. The lungs are clear.", "Cardiomegaly without consolidation or effusion."),
    ("Cardiomegaly without consolidation or effusion.", "Cardiomegaly without consolidation or effusion."),
    ("No acute cardiopulmonary process.", "Stable appearance of the chest with unchanged line positions."),
)
_DIRECTLY = """
import contextlib, io, json, sys
from importlib.metadata import version
with contextlib.redirect_stdout(io.StringIO()):
    from radeval.rewards import make_reward_fn
    metrics, pairs = json.loads(sys.argv[1])
    found = {
        name: make_reward_fn(name, **settings)([one for one, _ in pairs], ground_truth=[one for _, one in pairs])
        for name, settings in metrics.items()
    }
print(json.dumps({"values": found, "radeval": version("radeval"), "torch": version("torch")}))
"""
_CALLS = 200


async def through_the_adapter(python: str, metric: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Values of the pairs, seconds of the first reply (which loads the metric) and of a later one."""
    signal = TrlReward(
        function="radeval.rewards:make_reward_fn", factory={"metric": metric, **settings}, python=python, part="answer"
    )
    samples = [Sample(Completion("", None, None, said, ()), Reference(None, wanted)) for said, wanted in PAIRS]
    async with contextlib.aclosing(signal):
        start = time.perf_counter()
        scores = [await signal.score(samples[0])]
        first = time.perf_counter() - start
        scores += [await signal.score(sample) for sample in samples[1:]]
        start = time.perf_counter()
        for number in range(_CALLS):
            await signal.score(samples[number % len(samples)])
        later = (time.perf_counter() - start) / _CALLS
    values = [score.value for score in scores]
    return {"values": values, "first_seconds": round(first, 1), "later_milliseconds": round(1000 * later, 2)}


def main() -> None:
    """Measure every metric that fetches nothing."""
    (python,) = sys.argv[1:]
    about = results_file.provenance()
    about["command"] = "python benchmarks/radeval_rewards.py PYTHON"
    run = [python, "-I", "-c", _DIRECTLY, json.dumps([METRICS, PAIRS])]
    direct = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    found = {name: asyncio.run(through_the_adapter(python, name, settings)) for name, settings in METRICS.items()}
    for name, one in found.items():
        assert max(abs(a - b) for a, b in zip(one["values"], direct["values"][name], strict=True)) < 1e-9, name
    versions = {name: direct[name] for name in ("radeval", "torch")}
    results_file.keep("radeval_rewards", "rewards", {**about, **versions, "metrics": found})


if __name__ == "__main__":
    main()
