"""The completions of the reward's benchmarks: made up, but as long as real answers, and repeated as in real groups.

References are of the kind `pleural effusion in the left upper lobe, 12 mm` (about 45 characters, as in the paper's
data); `draw_demo` has short ones. Of five rollouts to one question about 3.4 differ, as in recorded steps of the nano
experiment.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medix_r1.demo.rows import labels
from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.scoring.judge_bench import make_questions
from medix_r1.wording.spelling import is_gradable, normalize_answer

GROUP = 5
_WEIGHTS = (6, 5, 3, 2, 2, 1, 1)  # how often each entry of a group's pool is drawn
_THOUGHTS = (
    "I look at the lungs first.",
    "There is an opacity with a sharp border.",
    "The size is taken from the scale.",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One finished rollout as the reward gets it."""

    question: str
    reference: str
    reply: str


def draw(groups: int, seed: int = 0) -> list[Row]:
    """`groups` questions with `GROUP` rollouts each; no two seeds share a question to the judge."""
    chance = random.Random(seed)
    asked = make_questions(groups + 1, seed=seed + 1)
    rows: list[Row] = []
    for number, (own, other) in enumerate(itertools.pairwise(asked)):
        pool = (
            _reply(own.prediction, chance),
            _reply(own.reference, chance),
            _reply(f"{own.reference}, most likely", chance),
            _reply("not sure", chance),
            _reply(other.prediction, chance),
            _reply(other.reference, chance),
            "<X_RAY><think>I look",  # cut before it says anything
        )
        question = f"Patient {seed}-{number}: {own.question}"
        chosen = chance.choices(pool, _WEIGHTS, k=GROUP)
        rows += [Row(question, f"<X_RAY>{own.reference}", reply) for reply in chosen]
    return rows


def draw_demo(groups: int, seed: int = 0) -> list[Row]:
    """The same from the demo's own labels: answers of one to four words, right and wrong, that recur between groups."""
    chance, answers = random.Random(seed), dict[tuple[str, str], list[str]]()
    for kind in labels.load().question_types.values():
        wordings = sorted({wording for fact in kind.facts.values() for wording in fact})
        answers |= {(kind.questions[0], reference): wordings for reference in wordings}
    rows: list[Row] = []
    for number in range(groups):
        (question, reference), said = chance.choice(list(answers.items()))
        pool = [*chance.sample(said, min(len(said), len(_WEIGHTS) - 2)), "not sure", reference]
        chosen = chance.choices(pool, _WEIGHTS[: len(pool)], k=GROUP)
        rows += [
            Row(f"Patient {seed}-{number}: {question}", f"<X_RAY>{reference}", _reply(answer, chance))
            for answer in chosen
        ]
    return rows


def _reply(answer: str, chance: random.Random) -> str:
    return f"<X_RAY><think>{chance.choice(_THOUGHTS)}</think><answer>{answer}</answer>"


def needs_models(rows: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """(question, reference, answer) of every row whose score takes a judge and an embedder, repetitions included."""
    for row in rows:
        answer, reference = parse_completion(row.reply).answer, parse_reference(row.reference).answer
        if answer is not None and is_gradable(answer) and normalize_answer(answer) != normalize_answer(reference):
            yield row.question, reference, answer


def unique_questions(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """What a judge must be asked once."""
    return list(dict.fromkeys(needs_models(rows)))


def unique_texts(rows: Sequence[Row]) -> list[str]:
    """What must be embedded once."""
    return list(
        dict.fromkeys(
            normalize_answer(text) for _, reference, answer in needs_models(rows) for text in (answer, reference)
        )
    )
