"""Results of `medix-r1 eval` as tests need them: built from a few words, written through records.py."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medix_r1.evaluation.results.records import RECORDS_FILE, Record, RunInfo, Vote, write_records, write_run


def record(row: int = 0, score: float | None = 1.0, **changes: Any) -> Record:
    """One sample; what is not named is that of a plain, right short answer."""
    votes = () if score is None else tuple(Vote("judge", seed, score, "says so", "YES") for seed in (1, 2, 3))
    plain = Record(
        id=f"{changes.get('task', 'rad_vqa')}-{row:04d}",
        task="rad_vqa",
        row=row,
        group=f"image-{row}",
        modality=None,
        question=f"What is seen in picture {row}?",
        context="",
        choices=(),
        reference="effusion",
        reference_letter=None,
        reply="<X_RAY><think>white</think><answer>effusion</answer>",
        think="white",
        answer="effusion",
        finish_reason="stop",
        problems=(),
        score=score,
        votes=votes,
        rubric=None,
        judge_free=False,
        unscored=None if score is not None else "the judge did not answer",
        tokens_in=100,
        tokens_out=20,
        seconds=0.5,
        restricted=False,
    )
    return replace(plain, **changes)


def info(model: str = "org/Model-1.5", **changes: Any) -> RunInfo:
    plain = RunInfo(
        model=model,
        revision=None,
        prompt="training",
        prompt_sha="p" * 64,
        decoding={"temperature": 0.0, "max_tokens": 64},
        data={"rad_vqa": "abc"},
        judge={"judges": [{"model": "judge", "revision": None}], "seeds": [1, 2, 3]},
        versions={"medix-r1": "0.1.0"},
        key=hashlib.sha256(model.encode()).hexdigest()[:10],
    )
    return replace(plain, **changes)


def scores(values: Sequence[float | None], task: str = "rad_vqa", groups: Sequence[str] | None = None) -> list[Record]:
    """Samples of one task with these scores."""
    clusters = groups or [f"{task}-image-{row}" for row in range(len(values))]
    return [record(row, value, task=task, group=clusters[row]) for row, value in enumerate(values)]


def write_result(folder: Path, about: RunInfo, records: Mapping[str, Sequence[Record]]) -> Path:
    write_run(folder, about)
    for task, rows in records.items():
        write_records(folder / task / RECORDS_FILE, rows)
    return folder


def synthetic(seed: int, right: float) -> dict[str, list[Record]]:
    """A result of four tasks with shared images, unscored, truncated, restricted and judge-free samples.

    Questions, images and references are the same for every seed; seed and `right` decide the replies only.
    """
    asked, said = random.Random("questions"), random.Random(seed)
    found: dict[str, list[Record]] = {}
    for task, count, images in (("rad_vqa", 60, 20), ("medqa", 40, 40), ("mmlu_anatomy", 25, 25)):
        found[task] = []
        for row in range(count):
            group, modality = f"{task}-image-{asked.randrange(images)}", asked.choice(("X-ray", "CT", "MRI"))
            choices = () if task == "rad_vqa" else ("heart", "liver", "lung", "spleen")
            reference = asked.choice(choices or ("effusion", "fracture", "normal"))
            good = said.random() < right
            answer = reference if good else "unsure"
            sample = record(
                row,
                float(good),
                task=task,
                group=group,
                modality=modality if task == "rad_vqa" else None,
                question=f"Question {row} of {task}?",
                choices=choices,
                reference=reference,
                reference_letter="ABCD"[choices.index(reference)] if choices else None,
                answer=answer,
                think=f"I look at it with seed {seed}.",
                reply=f"<X_RAY><think>I look at it with seed {seed}.</think><answer>{answer}</answer>",
                judge_free=bool(choices) and good,
                tokens_out=10 + said.randrange(50),
                seconds=round(0.2 + said.random(), 3),
            )
            if said.random() < 0.04:
                sample = replace(sample, score=None, votes=(), unscored="the judge was not reachable")
            elif said.random() < 0.05:
                sample = replace(sample, finish_reason="length", problems=("no answer block",))
            found[task].append(sample)
    found["mimic_cxr_report_generation"] = [
        record(
            row,
            said.randrange(6) / 5,
            task="mimic_cxr_report_generation",
            group=f"study-{row // 2}",
            question="Write the report.",
            reference="SECRET REPORT",
            answer=f"SECRET FINDINGS of seed {seed}",
            reply=f"SECRET FINDINGS of seed {seed}",
            restricted=True,
        )
        for row in range(12)
    ]
    return found
