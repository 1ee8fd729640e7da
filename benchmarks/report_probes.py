"""The probes of reports with judges by rule, and what a plain F1 of the same verdicts pays for them.

    python benchmarks/report_probes.py

Judges: one that says YES to everything, one that says NO, and one that says YES where a sentence has all words of a
finding. `plain` leaves out the rules for sides, negations and sizes, the weights of normal findings and the bounds on
repeats and padding. Kept in results/report_probes.json.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import results_file

from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.findings import FindingsReward
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.probes import probe, probe_file
from tests.unit.rewards.cases import ScriptedJudge
from tests.unit.rewards.findings.judges import LexicalJudge

JUDGES: dict[str, Callable[[], ScriptedJudge]] = {
    "yes": lambda: ScriptedJudge(True),
    "no": lambda: ScriptedJudge(False),
    "words": LexicalJudge,
}
PLAIN: dict[str, Any] = {"costs": {}, "normal": 1.0, "repeats": 1e6, "longest": 1e6}


def scored(judge: ScriptedJudge, probes: Sequence[probe_file.Probe], options: dict[str, Any]) -> list[probe.Finding]:
    """The probes' findings with one judge."""
    signal = FindingsReward(judge=judge, **options)
    composite = CompositeReward(signals={"findings": signal}, weights={"findings": 1.0})
    ready = ReadyReward(composite, SampleReader(think_element="think"), "reward", "think")
    return asyncio.run(probe.run(ready, probes, advance=lambda _: None))


def main() -> None:
    """Score every probe with every judge, by the signal and by a plain F1."""
    about, probes = results_file.provenance(), probe_file.load(probe_file.built_in("reports"))
    families: dict[str, dict[str, Any]] = {}
    broken: dict[str, dict[str, int]] = {}
    for name, judge in JUDGES.items():
        for way, options in (("ours", {}), ("plain", PLAIN)):
            results = scored(judge(), probes, options)
            on_rules = sum(bool(one.broken) for one in results if one.probe.rests_on == "nothing")
            broken[f"{name} {way}"] = {"all": sum(bool(one.broken) for one in results), "on_rules": on_rules}
            for family in dict.fromkeys(one.probe.family for one in results):
                own = [one.overall or 0.0 for one in results if one.probe.family == family]
                entry = families.setdefault(family, {"cases": len(own)})
                entry[f"{name} {way}"] = round(sum(own) / len(own), 4)
    rests = {one.probe.family: one.probe.rests_on for one in scored(JUDGES["no"](), probes, {})}
    counts = {"probes": len(probes), "attacks": sum(one.is_attack for one in probes)}
    on_rules = sum(one.rests_on == "nothing" for one in probes)
    rows = [{"family": family, "rests_on": rests[family], **entry} for family, entry in families.items()]
    results_file.keep(
        "report_probes", "probes", {**about, **counts, "on_rules": on_rules, "broken": broken, "families": rows}
    )


if __name__ == "__main__":
    main()
