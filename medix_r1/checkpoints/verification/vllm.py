"""Compares what vLLM answers from the merged folder with what the checkpoint's parameters answer.

vLLM has a loader of its own, so it notices a layout that only transformers reads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medix_r1.checkpoints.parameters.fsdp_shards import Parameter
from medix_r1.checkpoints.parameters.lora import Adapter
from medix_r1.checkpoints.verification.logits import Question, from_shards
from medix_r1.errors import CheckpointError
from medix_r1.host import processes
from medix_r1.host.log_tail import tail

ALLOWED = {"float32": 0.01, "bfloat16": 0.25, "float16": 0.05}  # nats, of a log-probability; kernels round differently


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two readers of one model agree.

    Attributes:
        tokens: how many were compared, all of them equal or as probable.
        difference: largest difference of a token's log-probability, in nats.
    """

    tokens: int
    difference: float


def compare(
    huggingface: Path, base: Mapping[str, Parameter], adapter: Adapter | None, folder: Path, dtype: str
) -> Agreement:
    """Let vLLM answer greedily from the folder, and score its tokens by the checkpoint's parameters.

    Args:
        huggingface: folder of the checkpoint's config.
        base: the checkpoint's parameters.
        adapter: its LoRA adapter, if it has one.
        folder: the merged model.
        dtype: of the merged weights.

    Raises:
        CheckpointError: vLLM does not load the folder, reads another prompt from it, or answers differently.
    """
    question = Question.of(folder)
    dtype = dtype if dtype in ALLOWED else "float32"
    found = _ask_vllm(folder, question, dtype)
    prompt, tokens = found["prompt"], found["tokens"]
    inputs = question.continued(tokens)
    ours = inputs["input_ids"][0, : -len(tokens)].tolist()
    if prompt != ours:
        raise CheckpointError(
            f"vLLM reads {len(prompt)} tokens of the question from {folder}, transformers {len(ours)}, or other ones",
            code="prompts-differ",
        )
    with torch.no_grad():
        logits = from_shards(huggingface, base, adapter).eval()(**inputs, use_cache=False).logits[0]
    scores = logits[-len(tokens) - 1 : -1].float().log_softmax(-1)
    ids = torch.tensor(tokens)
    expected = scores.gather(1, ids[:, None])[:, 0]
    difference = float((expected - torch.tensor(found["logprobs"])).abs().max())
    behind = float((scores.max(dim=1).values - expected).max())
    if not max(difference, behind) <= ALLOWED[dtype]:  # NaN fails too
        raise CheckpointError(
            f"vLLM answers differently from {folder}: a log-probability differs by {difference:.2g} nats, and a token "
            f"is {behind:.2g} nats behind the most probable one, more than {ALLOWED[dtype]:g}",
            code="vllm-answers-differently",
        )
    return Agreement(len(tokens), difference)


def _ask_vllm(folder: Path, question: Question, dtype: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="medix-verify-") as name:
        place = Path(name)
        picture = place / "picture.png"
        if question.picture is not None:
            question.picture.save(picture)
        asked = {
            "prompt": question.prompt,
            "picture": str(picture) if question.picture is not None else None,
            "dtype": dtype,
        }
        (place / "question.json").write_text(json.dumps(asked), encoding="utf-8")
        words = [
            "-m",
            "medix_r1.checkpoints.verification.vllm_answers",
            folder,
            place / "question.json",
            place / "answer.json",
        ]
        log = place / "log"
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                preexec_fn=processes.end_with_parent,
            )
        if done.returncode != 0:
            raise CheckpointError(
                f"vLLM does not load or run {folder} (code {done.returncode}){tail(log)}", code="vllm-does-not-load"
            )
        found: dict[str, Any] = json.loads((place / "answer.json").read_text(encoding="utf-8"))
    return found
