"""What a rubric withstands and what it costs, without a language model.

    python benchmarks/rubrics.py probe     # the attacks of `medix-r1 rubric probe --gullible`
    python benchmarks/rubrics.py cost      # calls for each different pair of criterion and answer, over HTTP

The cost is counted in the run of tests/integration/scoring/test_rubric_cost.py: a judge whose lists agree, steps of
four groups.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from results_file import keep, provenance

sys.path.insert(0, str(Path(__file__).parents[1]))

from medix_r1.models.judge import ChatJudge
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.rubrics.signal import RubricReward
from medix_r1.scoring.rubrics import probe
from medix_r1.scoring.rubrics.gullible import GullibleJudge
from tests.integration.scoring.test_rubric_cost import GROUPS, ROLLOUTS, RUBRIC, different_pairs, samples
from tests.support.criteria_stub import verdicts
from tests.support.judge_stub import MODEL, JudgeStub

_STEP = 4 * ROLLOUTS  # replies


def attacks() -> dict[str, Any]:
    """Family → attacks, what their bound rests on, how many break it, and how often the naive mean rises."""
    signal = RubricReward(judge=GullibleJudge())
    outcomes = asyncio.run(probe.run(probe.load(), signal, SampleReader(), "thinking"))
    return {"attacks": len(outcomes), "families": probe.summary(outcomes)}


async def _calls(per_call: int) -> tuple[int, float]:
    """All calls, and the most for each pair after any step."""
    given, worst = samples(), 0.0
    with JudgeStub(verdicts) as stub:
        judge = ChatJudge(base_url=stub.address, model=MODEL)
        signal = RubricReward(judge=judge, per_call=per_call, trial=150, agreement=0.9)
        for start in range(0, len(given), _STEP):
            await asyncio.gather(*(signal.score(one) for one in given[start : start + _STEP]))
            worst = max(worst, len(stub.calls) / len(different_pairs(given[: start + _STEP])))
        await judge.aclose()
        return len(stub.calls), worst


def cost() -> dict[str, Any]:
    """Calls for each pair, by the criteria of a call."""
    pairs = len(different_pairs(samples()))
    rows = []
    for per_call in (1, 4, 8):
        calls, worst = asyncio.run(_calls(per_call))
        rows.append({"per_call": per_call, "calls_a_pair": round(calls / pairs, 2), "worst": round(worst, 2)})
    return {"replies": GROUPS * ROLLOUTS, "questions": GROUPS, "criteria": len(RUBRIC), "pairs": pairs, "rows": rows}


def main() -> None:
    """Measure one part and write it into `benchmarks/results/rubrics.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["probe", "cost"])
    part = parser.parse_args().part
    measured = provenance()
    keep("rubrics", part, measured | (attacks() if part == "probe" else cost()))


if __name__ == "__main__":
    main()
