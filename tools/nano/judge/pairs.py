"""Synthetic pairs for the demo's judge: (question, reference, prediction), and whether the answers mean the same.

A pair is one phrase in two wordings (YES) or with a changed meaning (NO). The same seeded code makes the training pairs
(words of `train` in lexicon.yaml, made-up words, the demo's own questions and answers) and the held-out pairs (words
and patterns of `heldout`, which training never sees).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tools.nano.judge.families import Pair, PairMaker
from tools.nano.judge.own import OwnPairMaker, accepted_with, demo_facts
from tools.nano.judge.phrases import lexicon

HELDOUT_FILE = Path(__file__).with_name("heldout.jsonl")
INVENTED = 0.45  # share of made-up nouns in training
OWN_SHARE = 0.35  # share of training pairs about the demo's own answers
# Below one half, because a false YES costs more than a false NO.
ACCEPTED_SHARE = 0.42
ACCEPTED: Mapping[str, float] = {"side": 2, "negation": 2, "wording": 3, "wrapper": 3, "number": 1.5}
REFUSED: Mapping[str, float] = {
    "side": 3,
    "negation": 4,
    "near_miss": 8,
    "hedge": 1.5,
    "alternatives": 2.5,
    "injection": 1.5,
    "number": 3,
    "garbage": 1,
}
# Held-out pairs of each family: (to accept, to refuse).
HELDOUT_QUOTA: Mapping[str, tuple[int, int]] = {
    "side": (50, 140),
    "negation": (50, 140),
    "wording": (70, 0),
    "wrapper": (70, 0),
    "near_miss": (0, 70),
    "hedge": (0, 40),
    "alternatives": (0, 50),
    "injection": (0, 40),
    "number": (20, 40),
}


def training_pairs(seed: int) -> Iterator[Pair]:
    """Endless training pairs, reproducible by seed."""
    rng = random.Random(seed)
    own = OwnPairMaker(lexicon()["train"], rng, demo_facts())
    maker = PairMaker(lexicon()["train"], rng, invent=INVENTED)
    while True:
        if rng.random() >= OWN_SHARE:
            yield _about_lexicon(maker, rng)
        elif (pair := own.pair(rng.random() < 0.5)) is not None:
            yield pair


def lexicon_pairs(seed: int) -> Iterator[Pair]:
    """Endless training pairs about the lexicon only."""
    rng = random.Random(seed)
    maker = PairMaker(lexicon()["train"], rng, invent=INVENTED)
    while True:
        yield _about_lexicon(maker, rng)


def _about_lexicon(maker: PairMaker, rng: random.Random) -> Pair:
    shares, label = (ACCEPTED, True) if rng.random() < ACCEPTED_SHARE else (REFUSED, False)
    return maker.pair(rng.choices(list(shares), list(shares.values()))[0], label)


def own_pairs() -> list[Pair]:
    """Every ordered pair of wordings of one question type of the demo, exact matches included."""
    pairs = []
    for fact in demo_facts():
        wordings = sorted({answer for group in fact.answers for answer in group})
        for reference in wordings:
            accepted = accepted_with(reference, fact)
            pairs += [Pair(fact.questions[0], reference, said, said in accepted, "own") for said in wordings]
    return pairs


def heldout_pairs(seed: int = 20) -> list[Pair]:
    """The held-out pairs with the counts of HELDOUT_QUOTA, without duplicates."""
    maker = PairMaker(lexicon()["heldout"], random.Random(seed), invent=0.0)
    pairs: dict[Pair, None] = {}
    for family, counts in HELDOUT_QUOTA.items():
        for label, count in zip((True, False), counts, strict=True):
            wanted = len(pairs) + count
            while len(pairs) < wanted:
                pairs.setdefault(maker.pair(family, label))
    return list(pairs)


def read_pairs(path: Path = HELDOUT_FILE) -> list[Pair]:
    """Read pairs from a JSON Lines file."""
    return [Pair(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def write_pairs(pairs: Sequence[Pair], path: Path = HELDOUT_FILE) -> None:
    """Write pairs as JSON Lines, atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(json.dumps(asdict(pair)) + "\n" for pair in pairs), encoding="utf-8")
    temporary.replace(path)
