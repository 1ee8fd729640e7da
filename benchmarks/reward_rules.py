"""What the reward's rules do to right rewordings and to answers that offer several things: `python reward_rules.py`.

tools/rewordings makes the cases from medical terms. Those of the half `dev` are there to write rules by. The half
`test` has other terms, and forms of its own in tools/rewordings/held_back.yaml; `later` has the same forms, and terms
that were written when the rules had landed. Printed are figures by kind, unless `--misses` asks for the cases. The
judge says YES to right answers and NO to all others, the embedder finds all texts equal: what a right answer loses was
taken by a rule, and an attack that no rule refused earns the embedding's part.

    python benchmarks/reward_rules.py --half dev --misses
    python benchmarks/reward_rules.py --half test --keep after reward.signals.embed.refuse_alternatives=true

    python benchmarks/reward_rules.py --by-hand specialties --keep now

`--keep PART` writes the figures into results/reward_rules.json, which `make docs` quotes. `--by-hand` measures a set of
tools/rewordings/by_hand/ instead; there PART is `now` or, once for each set, before anybody looks at its misses,
`first_sight`.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import time
from pathlib import Path
from typing import Any, get_args

import results_file

import medix_r1
from medix_r1.config import compose_reward
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.build import build_reward
from medix_r1.scoring.composed import ReadyReward
from tools.rewordings.generate import cases
from tools.rewordings.hand import NAMES, by_hand
from tools.rewordings.measure import (
    added,
    false_alarms,
    in_short,
    misses,
    score,
    short_table,
    summary,
    table,
    too_much,
)
from tools.rewordings.terms import Half, named, number_of_terms


def _commit() -> str:
    """Of the rules that are measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        command, cwd=Path(medix_r1.__file__).parent, capture_output=True, text=True, check=True
    ).stdout.strip()


def _known(half: Half) -> dict[str, int]:
    """How many of the terms with a name stand in the list of terms that the rules know."""
    path = Path(medix_r1.__file__).parent / "wording" / "terms.txt"
    listed = re.split(r"\s*[;~=\n]\s*", path.read_text(encoding="utf-8").lower()) if path.exists() else ()
    names = [term.name.lower() for term in named(half)]
    return {"count": len(set(names) & set(listed)), "of": len(names)}


def _about(half: Half) -> dict[str, Any]:
    about = {**results_file.provenance(), "commit": _commit(), "half": half}
    return {**about, "terms": number_of_terms(half == "later"), "known": _known(half)}


def _ready(overrides: list[str]) -> ReadyReward:
    settings = compose_reward(overrides).reward
    return ReadyReward(build_reward(settings), SampleReader.of(settings), settings.overlong, settings.think_element)


def _keep_by_hand(name: str, part: str, found: dict[str, Any]) -> None:
    """Write the figures of one set beside those of the others, in the order in which the sets were first seen."""
    kept = results_file.read("reward_rules")["by_hand"]
    entry = next((one for one in kept["sets"] if one.get("name") == name), None)
    if entry is None:
        written = by_hand(name)
        entry = {"name": name, "style": written.style, "source": written.source}
        kept["sets"].append(entry)
    if part == "first_sight" and part in entry:
        raise SystemExit(f"{name} was seen before, at commit {entry[part]['commit']}: a first sight comes once.")
    entry[part] = {"date": str(datetime.date.today()), "commit": _commit(), **found}
    seen = [one["first_sight"] for one in kept["sets"] if "first_sight" in one]
    kept["all"] = {"first_sight": {name: added([one[name] for one in seen]) for name in ("lost", "refused")}}
    results_file.keep("reward_rules", "by_hand", kept)


def main() -> None:
    """Score the cases, print the tables, and keep them where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the reward; default: composite")
    parser.add_argument("--half", choices=get_args(Half), default="dev")
    parser.add_argument("--by-hand", choices=NAMES, help="a set that was written by hand, in place of a half")
    parser.add_argument("--misses", action="store_true", help="print every right answer hit and every attack missed")
    parser.add_argument("--flagged", action="store_true", help="print every right answer that a monitor flags")
    parser.add_argument("--keep", metavar="PART", help="write the figures into this part of reward_rules.json")
    options = parser.parse_args()
    made = by_hand(options.by_hand).cases if options.by_hand else cases(options.half)
    start = time.perf_counter()
    scored = score(_ready(options.overrides), made)
    seconds = time.perf_counter() - start
    found = in_short(scored) if options.by_hand else summary(scored)
    lines = [*(misses(scored) if options.misses else ()), *(false_alarms(scored) if options.flagged else ())]
    print("\n".join([*lines, *(short_table if options.by_hand else table)(found), f"{seconds:.1f} s"]))
    if options.keep and options.by_hand:
        _keep_by_hand(options.by_hand, options.keep, found)
    elif options.keep:
        # The misses of the other halves are for `--misses`: whoever reads this file may write rules.
        listed = {"too_much": too_much(scored)} if options.half == "dev" else {}
        results_file.keep("reward_rules", options.keep, {**_about(options.half), **found, **listed})


if __name__ == "__main__":
    main()
