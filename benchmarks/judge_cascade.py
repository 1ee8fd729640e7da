"""How far a cascade of the demo's judge and a perfect one agrees with the labels, and what the judge's own errors do.

    python benchmarks/judge_cascade.py

The labels of the demo's pairs stand for a strong judge; none was asked. The band is chosen on training pairs that the
judge was not trained on (another seed), and measured on the held-out ones. Kept in results/judge_cascade.json; the
plot is docs/judge_cascade.png. With a judge that runs already: MEDIX_JUDGE_URL=http://HOST:PORT/v1.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import results_file
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))  # tools/ is no installed package

from medix_r1.scoring.judging.band_verb import choose_band
from medix_r1.scoring.verbs import audit_file
from tools.nano.judge.pairs import HELDOUT_FILE, training_pairs, write_pairs

PLOT = Path(__file__).parents[1] / "docs" / "judge_cascade.png"
SEED, PAIRS = 11, 4000
JUDGE = ["judge=nano"]


def main() -> None:
    """Measure, draw and keep."""
    about, console = results_file.provenance(), Console()
    url = os.environ.get("MEDIX_JUDGE_URL")
    with tempfile.TemporaryDirectory() as folder:
        pairs, band, audit = (Path(folder) / name for name in ("training.jsonl", "band.json", "audit.json"))
        write_pairs(list(itertools.islice(training_pairs(SEED), PAIRS)), pairs)
        choose_band(
            *(pairs, JUDGE, HELDOUT_FILE, url, [], band, PLOT, console), share=0.25, agreement=None, in_flight=256
        )
        audit_file(
            *(HELDOUT_FILE, [*JUDGE, "reward=llm_only"], [], "llm", url, [], audit, None, console),
            recorded=False,
            worst=0,
            in_flight=256,
            group_size=5,
        )
        found: dict[str, Any] = json.loads(band.read_text())
        errors = json.loads(audit.read_text())
    results_file.keep("judge_cascade", "band", {**about, "training_pairs": PAIRS, "seed": SEED, **found})
    kept = ("rows", "by_rule", "errors_by_kind", "youden", "group_orders", "good_enough")
    results_file.keep("judge_cascade", "audit", {**about, **{name: errors[name] for name in kept}})


if __name__ == "__main__":
    main()
