"""What the nano run on reports learnt, and how well the nano judge compares the findings in them.

    python benchmarks/nano_reports.py DEMO RUN [RUN ...]

DEMO is the folder of `python -m tools.nano reports`, each RUN one of `medix-r1 train experiment=nano_reports`. Kept in
results/nano_reports.json.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import results_file
import yaml

from medix_r1 import config as configs
from medix_r1.demo.rows import labels as label_file
from medix_r1.demo.rows.labels import Split
from medix_r1.runs.folder import RunFolder
from tools.nano.judge.families import Pair
from tools.nano.judge.report import count_unserved
from tools.nano.reports import warm_start
from tools.nano.reports.rows import kinds_of

SETS = ("reports_heldout_views", "reports_heldout_sources")
METRICS = ("overall", "findings", "findings/recall", "findings/precision", "findings/findings", "format", "modality")


def learnt(run: Path) -> dict[str, Any]:
    """Held-out means of a run by step, and the 95 % half-widths of `findings`."""
    folder = RunFolder(run)
    settings = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    steps = {
        step: values for step, values in folder.metrics_by_step().items() if f"heldout/{SETS[0]}/overall/mean" in values
    }
    sets = {
        name: [
            {
                "step": step,
                **{key.replace("/", "_"): round(values[f"heldout/{name}/{key}/mean"], 4) for key in METRICS},
                "half_width": round(values[f"heldout/{name}/findings/interval"], 4),
            }
            for step, values in steps.items()
        ]
        for name in SETS
    }
    lengths = [
        values["response_length/mean"]
        for values in folder.metrics_by_step().values()
        if "response_length/mean" in values
    ]
    tokens = {"first": round(lengths[0], 1), "last": round(lengths[-1], 1)}
    return {"seed": settings["run"]["seed"], "reply_tokens": tokens, "sets": sets}


def judged(judge: Path) -> dict[str, Any]:
    """How the judge compares every two different wordings that reports of pictures trained on may hold."""
    labels = label_file.load()
    question = str(configs.compose_train(["experiment=nano_reports"]).reward.signals.findings.question)
    facts: dict[str, set[tuple[str, str]]] = {}
    for source in labels.sources:
        for kind in kinds_of(source):
            for wording in labels.answers(kind, source.facts[kind]):
                facts.setdefault(wording, set()).add((kind, source.facts[kind]))
    pairs = [
        Pair(question, one, other, bool(facts[one] & facts[other]), "reports")
        for one in facts
        for other in facts
        if one != other
    ]
    counts = count_unserved(judge, pairs)
    return {
        "question": question,
        "to_accept": counts.to_accept,
        "to_refuse": counts.to_refuse,
        "recall": round(counts.recall, 4),
        "false_yes": round(counts.false_yes, 4),
    }


def constant(split: Split) -> float:
    """Share of right findings of the one report that is right most often, whatever the picture."""
    found = [
        [source.facts[kind] for kind in kinds_of(source)]
        for source in label_file.load().sources
        if source.split == split
    ]
    best = [max(Counter(facts).values()) / len(found) for facts in zip(*found, strict=True)]
    return round(sum(best) / len(best), 4)


def main() -> None:
    """Read the runs, measure the judge, keep both."""
    demo, *runs = map(Path, sys.argv[1:])
    about = results_file.provenance()
    about["command"] = "python benchmarks/nano_reports.py DEMO RUN [RUN ...]"
    results_file.keep("nano_reports", "judge", {**about, **judged(demo / "models" / "judge")})
    warm = {"steps": warm_start.TOTAL_STEPS, "more_tokens": warm_start.NEW_TOKENS}
    found = sorted((learnt(run) for run in runs), key=lambda one: one["seed"])
    guess = {SETS[0]: constant("train"), SETS[1]: constant("heldout")}
    results_file.keep("nano_reports", "runs", {**about, "warm_start": warm, "constant": guess, "seeds": found})


if __name__ == "__main__":
    main()
