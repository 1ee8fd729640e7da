"""What the confidences of a run are worth on the demo's held-out sets, at each validation, from the run's samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medix_r1 import calibration
from medix_r1.demo.result import SETS
from medix_r1.errors import DataError
from medix_r1.runs.folder import read_lines
from medix_r1.wording.spelling import normalize_answer

CURVE = 50  # points of a risk-coverage curve that are kept


def measured(run: Path, demo: Path, hedges: Collection[str]) -> list[dict[str, Any]]:
    """One entry for each validation and held-out set, oldest first.

    Args:
        run: the run's folder.
        demo: the demo's folder, whose rows name the picture that each question is about.
        hedges: answers that commit to nothing.

    Raises:
        DataError: the run has no validation with confidences.
    """
    rows = [row for name in SETS for row in read_lines(demo / "data" / f"{name}.jsonl")]
    pictures = {row["extra_info"]["row_id"]: row["extra_info"]["source"] for row in rows}
    found = []
    for path in sorted((run / "samples" / "validation").glob("*.jsonl")):
        lines = list(read_lines(path))
        for name in SETS:
            own = [line for line in lines if line["source"] == name]
            if own:
                found.append({"step": int(path.stem), "set": name, **of_lines(own, pictures, hedges)})
    if not any(one["all"] for one in found):
        raise DataError(f"{run}: no validation with confidences there", code="no-confidence")
    return found


def of_lines(
    lines: Sequence[Mapping[str, Any]], pictures: Mapping[str, str], hedges: Collection[str]
) -> dict[str, Any]:
    """The figures of some samples: of all with a confidence, and of those that commit to an answer.

    Args:
        lines: samples as a run writes them; `row_id`, `answer`, `parts` and `numbers` are read.
        pictures: row_id → picture, over which the intervals are taken.
        hedges: answers that commit to nothing.
    """
    vague = {normalize_answer(hedge) for hedge in hedges}
    said = [line for line in lines if "calibration/confidence" in line.get("numbers", {})]
    committed = [line for line in said if normalize_answer(line["answer"] or "") not in vague]
    exact = float(np.mean([line["parts"]["exact"] for line in lines]))
    return {
        "replies": len(lines),
        "exact": round(exact, 4),
        "all": _worth(said, pictures),
        "committed": _worth(committed, pictures),
    }


def _worth(lines: Sequence[Mapping[str, Any]], pictures: Mapping[str, str]) -> dict[str, Any]:
    """The measures with intervals over pictures, and what the figure draws; empty without confidences."""
    if not lines:
        return {}
    confidence = np.array([line["numbers"]["calibration/confidence"] for line in lines])
    verdict = np.array([line["numbers"]["calibration/verdict"] for line in lines])
    groups = [pictures[line["row_id"]] for line in lines]
    found: dict[str, Any] = {"said": len(lines), "right": round(float(verdict.mean()), 4)}
    for name, statistic in calibration.STATISTICS.items():
        value = statistic(confidence, verdict)
        around = calibration.interval(statistic, confidence, verdict, groups)
        found[name] = None if np.isnan(value) else round(value, 4)
        found[f"{name}_interval"] = around and [round(around.low, 4), round(around.high, 4)]
    found["best_constant"] = round(calibration.best_constant(verdict), 4)
    place = calibration.bins(confidence)
    found["bins"] = [
        [round(float(confidence[own].mean()), 3), round(float(verdict[own].mean()), 3), int(own.sum())]
        for number in range(calibration.BINS)
        if (own := place == number).any()
    ]
    risks = calibration.risks(confidence, verdict)
    shown = np.unique(np.linspace(0, len(risks) - 1, CURVE).astype(int))
    found["risks"] = [[round((int(k) + 1) / len(risks), 3), round(float(risks[k]), 4)] for k in shown]
    return found
