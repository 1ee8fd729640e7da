"""The calibration's demonstration without verl, vLLM, judge and embedder: a cheap look at what its settings teach.

python benchmarks/calibration_loop.py DEMO FOLDER ARM SEED

DEMO is the demo's folder with the policy of `python -m tools.nano calibration`, ARM one of `earned` and `plain`. The
loop has the start, weights, group size, learning rate and number of steps of the demonstration. Exact match stands for
the judge's verdict, and for the embedder's as well. FOLDER keeps the state at each validation, from which a run that
was cut goes on. Kept in results/calibration.json.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import results_file
import torch
from transformers import AutoProcessor

from medix_r1.demo.batches import read_rows
from medix_r1.demo.replies import load_policy
from medix_r1.demo.rows import labels as label_file
from medix_r1.grammar import parse_completion
from medix_r1.wording.spelling import normalize_answer
from tools.nano.calibration import arms
from tools.nano.calibration.measure import of_lines
from tools.nano.policy.rows import IGNORED, TrainingRows

PROMPTS = 24  # of a step, as in the nano experiment
WARM_UP = 5  # steps
SET = "heldout_views"


class Loop:
    """GRPO in one process."""

    def __init__(self, demo: Path, arm: str, seed: int) -> None:
        folder = demo / "models" / arms.POLICY
        self.policy, processor = load_policy(folder), AutoProcessor.from_pretrained(folder)
        self.train, self.held = (
            TrainingRows(read_rows(demo / "data" / f"{name}.parquet"), processor) for name in ("train", SET)
        )
        self._weights, self._seed, self._arm = arms.weights(arm), seed, arm
        self.optimizer = torch.optim.AdamW(self.policy.parameters(), lr=arms.RATE, weight_decay=0.01)

    def samples(self, rows: TrainingRows, places: Sequence[int]) -> tuple[list[list[int]], list[dict[str, Any]]]:
        """A reply to each row: its tokens, and the sample as a run would write it."""
        self.policy.eval()
        inputs = rows.for_generation(places, places)
        with torch.inference_mode():
            found = self.policy.generate(
                **inputs, max_new_tokens=arms.LONGEST, do_sample=True, temperature=1.0, top_k=0, top_p=1.0
            )
        end, tokens = rows.tokenizer.eos_token_id, found[:, inputs["input_ids"].shape[1] :].tolist()
        tokens = [one[: one.index(end) + 1] if end in one else one for one in tokens]
        texts = rows.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return tokens, [
            self._sample(rows.rows[place]["extra_info"], text) for place, text in zip(places, texts, strict=True)
        ]

    def _sample(self, info: dict[str, Any], text: str) -> dict[str, Any]:
        said = parse_completion(text, confidence="required")
        right = float(normalize_answer(said.answer or "") in map(normalize_answer, info["answers"]))
        parts = {"llm": right, "embed": right, "format": float(said.well_formed)}
        parts["modality"] = float(said.modality == info["modality"])
        numbers = {}
        if said.confidence is not None:
            numbers = {"calibration/confidence": said.confidence, "calibration/verdict": right}
        parts["calibration"] = 1 - (said.confidence - right) ** 2 if said.confidence is not None else 0.0
        total = sum(self._weights[name] * value for name, value in parts.items())
        parts["exact"] = right
        return {"row_id": info["row_id"], "answer": said.answer, "parts": parts, "numbers": numbers, "total": total}

    def step(self, number: int, places: Sequence[int]) -> None:
        """One update on groups of replies to these rows."""
        torch.manual_seed(self._seed * 1000 + number)
        each = [place for place in places for _ in range(arms.ROLLOUTS)]
        tokens, samples = self.samples(self.train, each)
        totals = torch.tensor([one["total"] for one in samples]).view(len(places), arms.ROLLOUTS)
        advantages = (totals - totals.mean(1, keepdim=True)) / (totals.std(1, keepdim=True) + 1e-6)
        for group in self.optimizer.param_groups:
            group["lr"] = arms.RATE * min(1.0, number / WARM_UP)
        self.policy.train()
        batch = self.train.for_training(each, tokens)
        wanted = batch.labels[:, 1:]
        counted = wanted != IGNORED
        logits = torch.log_softmax(self.policy(**batch.inputs).logits[:, :-1], -1)
        said = logits.gather(-1, wanted.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        loss = -(said * counted * advantages.flatten()[:, None]).sum() / counted.sum()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.optimizer.step()

    def measured(self, step: int) -> dict[str, Any]:
        """What the confidences are worth on the held-out views, five replies a question."""
        torch.manual_seed(7)
        places = [place for place in range(len(self.held)) for _ in range(arms.SAMPLES)]
        samples = [
            one for at in range(0, len(places), 200) for one in self.samples(self.held, places[at : at + 200])[1]
        ]
        pictures = {row["extra_info"]["row_id"]: row["extra_info"]["source"] for row in self.held.rows}
        return {"step": step, "set": SET, **of_lines(samples, pictures, label_file.load().hedges)}


def run(demo: Path, folder: Path, arm: str, seed: int) -> dict[str, Any]:
    """Train one arm to its end, from where it was cut."""
    torch.set_num_threads(1)
    loop, kept = Loop(demo, arm, seed), folder / f"{arm}_{seed}.pt"
    points: list[dict[str, Any]] = []
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        loop.policy.load_state_dict(state["policy"])
        loop.optimizer.load_state_dict(state["optimizer"])
        points = json.loads(state["points"])
    points = points or [loop.measured(0)]
    lots, order = random.Random(seed), list[int]()
    for number in range(1, arms.STEPS + 1):
        if len(order) < PROMPTS:
            order = list(range(len(loop.train)))
            lots.shuffle(order)
        places = [order.pop() for _ in range(PROMPTS)]
        if number <= points[-1]["step"]:
            continue
        loop.step(number, places)
        if number % arms.VALIDATED == 0:
            points.append(loop.measured(number))
            print(
                json.dumps({name: points[-1][name] for name in ("step", "exact")} | points[-1]["all"])[:400], flush=True
            )
            folder.mkdir(parents=True, exist_ok=True)
            state = {"policy": loop.policy.state_dict(), "optimizer": loop.optimizer.state_dict()}
            torch.save({**state, "points": json.dumps(points)}, kept)
    return {"seed": seed, "points": points}


def main() -> None:
    """Run one arm and keep it beside the others."""
    demo, folder, arm, seed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    about = results_file.provenance() | {"command": "python benchmarks/calibration_loop.py DEMO FOLDER ARM SEED"}
    found = run(demo, folder, arm, seed)
    path = results_file.RESULTS / "calibration.json"
    runs = json.loads(path.read_text(encoding="utf-8")).get("loop", {}).get("runs", {})
    others = [one for one in runs.get(arm, []) if one["seed"] != seed]
    runs[arm] = sorted([*others, found], key=lambda one: int(one["seed"]))
    settings = {"steps": arms.STEPS, "rollouts": arms.ROLLOUTS, "rate": arms.RATE, "weight": arms.WEIGHT}
    results_file.keep("calibration", "loop", {**about, **settings, "runs": runs})


if __name__ == "__main__":
    main()
