"""Where `reward=composite` differs from the paper's public reward, by kind: `python benchmarks/paper_differences.py`.

The rows are those of tests/unit/golden/public_reward.jsonl, whose values the public function returned. The composite
gets the same judge (a rule over words) and the cosine that the public function saw. Where it saw none, because it asked
nobody, the judge's rule stands in for the embedder too. Kept in results/paper_differences.json, which `make docs`
quotes.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import results_file

from medix_r1.config import compose_reward
from medix_r1.models.judge import Question, Verdict
from medix_r1.public_grammar import parse_as_public, parse_public_reference
from medix_r1.rewards.base import Sample, SampleReader, Score
from medix_r1.rewards.build import build_reward
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.paper import public_rule

ROWS = Path(__file__).parent.parent / "tests" / "unit" / "golden" / "public_reward.jsonl"
PARTS, WEIGHTS = ("format", "llm", "embed", "modality"), (0.1, 0.5175, 0.3375, 0.045)
KINDS = CURED, STRICTER, LOOSER = "cured", "deliberately stricter", "looser"


class WordJudge:
    """YES when the words of both texts have a Jaccard similarity of at least 0.4, as in the public function's run."""

    async def judge(self, question: Question) -> Verdict:
        same = similar(question.prediction, question.reference)
        return Verdict(same, "YES" if same else "NO")

    def statistics(self) -> dict[str, float]:
        return {}


class RecordedEmbedder:
    """The cosine of the row."""

    cosine: float | None = None

    async def similarity(self, prediction: str, reference: str) -> float:
        return float(similar(prediction, reference)) if self.cosine is None else self.cosine

    def statistics(self) -> dict[str, float]:
        return {}


def similar(one: str, other: str) -> bool:
    """Whether two texts share enough words."""
    first, second = (set(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower())) for text in (one, other))
    return len(first & second) >= 0.4 * len(first | second)


def composite(embedder: RecordedEmbedder) -> tuple[CompositeReward, SampleReader]:
    """The default reward with stand-ins for judge and embedder, and what parses replies for it."""
    node = compose_reward([], ()).reward
    reward = build_reward(node)  # starts no server and loads no model
    reward.signals["llm"].judge = WordJudge()  # type: ignore[attr-defined]
    reward.signals["embed"].embedder = embedder  # type: ignore[attr-defined]
    return reward, SampleReader.of(node)


def rows() -> Iterator[dict[str, Any]]:
    """The recorded rows."""
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


async def differences() -> list[dict[str, Any]]:
    """Each kind of difference: the parts in which it shows, its rows, and what it changes in the reward on average."""
    embedder = RecordedEmbedder()
    reward, reader = composite(embedder)
    changes: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    shown: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows():
        embedder.cosine = row.get("cosine")
        sample = reader.read(row["completion"], reference=row["reference"], has_image=True, question="What is it?")
        breakdown = await reward.score(sample)
        for part, weight, public in zip(PARTS, WEIGHTS, row["values"], strict=True):
            score = breakdown.parts[part]
            if score.value != public:
                change = 0.0 if score.value is None else weight * (score.value - public)
                why = cause(part, score, public, sample, row)
                changes[why][row["id"]].append(change)
                shown[why].add(part)
    return [
        {
            "kind": kind,
            "why": why,
            "parts": [part for part in PARTS if part in shown[kind, why]],
            "rows": len(found),
            "change": round(math.fsum(map(math.fsum, found.values())) / len(found), 3),
        }
        for (kind, why), found in sorted(changes.items(), key=lambda item: (KINDS.index(item[0][0]), -len(item[1])))
    ]


def cause(part: str, score: Score, public: float, sample: Sample, row: Mapping[str, Any]) -> tuple[str, str]:
    """(kind, why) of one part that differs.

    Args:
        part: its name.
        score: the composite's.
        public: the public function's value.
        sample: as the composite reads it.
        row: as recorded.
    """
    if part == "format":
        return _cause_of_format(score)
    if part == "modality":
        return _cause_of_modality(score)
    return _cause_of_answer(score, public, sample, row)


def _cause_of_format(score: Score) -> tuple[str, str]:
    if score.value == 1.0:
        return LOOSER, "marks in capitals are read"
    problem = re.sub(r"<\w+>", "…", score.reason.split("; ")[0])
    if "several" in problem or "answer block before" in problem:
        return CURED, "repeated or nested blocks, several tags"
    if "empty" in problem:
        return CURED, "an empty block"
    if "tag" in problem:
        return CURED, "a missing or unknown modality tag"
    return CURED, "text outside the blocks"


def _cause_of_modality(score: Score) -> tuple[str, str]:
    if score.value is None:
        return CURED, "a reference without one of the 16 tags: `modality` does not apply"
    return LOOSER, "the tag counts though the think block behind it is malformed"


def _cause_of_answer(score: Score, public: float, sample: Sample, row: Mapping[str, Any]) -> tuple[str, str]:
    """Why `llm` or `embed` differs; the composite's own reasons come first, as the public code gives none."""
    if (score.value or 0.0) < public:
        if sample.completion.answer is None:
            several = (
                "<answer>" in row["completion"].partition("</answer>")[2] or row["completion"].count("<answer>") > 1
            )
            return (
                CURED,
                "several answer blocks: none is graded" if several else "text without an answer block is not graded",
            )
        if score.reason.startswith("too long"):
            return STRICTER, "an answer too long to judge is 0 by rule"
        return STRICTER, "an answer that offers several things has no embedding credit"
    asked = public_rule(as_public(row))
    if asked is not None and "no tag" in asked.reason:
        return CURED, "a reference without a tag is graded"
    if asked is not None and asked.reason.startswith("holds"):
        return CURED, "`:`, `?` or `__` in an answer"
    if len(as_public(row).completion.answer or "") == 1:
        return CURED, "an answer of one character"
    if "</answer>" not in row["completion"]:
        return LOOSER, "marks in capitals are read"
    return LOOSER, "equal after normalisation"


def as_public(row: Mapping[str, Any]) -> Sample:
    """The row as the public code reads it."""
    return Sample(parse_as_public(row["completion"]), parse_public_reference(row["reference"]))


def main() -> None:
    """Count, keep, print."""
    origin = results_file.provenance()
    found = asyncio.run(differences())
    for one in found:
        print(f"{one['kind']:21} {one['rows']:4} {one['change']:+.3f}  {', '.join(one['parts']):20} {one['why']}")
    results_file.keep("paper_differences", "rows", {**origin, "all": sum(1 for _ in rows()), "kinds": found})


if __name__ == "__main__":
    main()
