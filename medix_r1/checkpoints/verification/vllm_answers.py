"""What vLLM answers to the question of a verification; a process of its own, so that its memory and threads end.

python -m medix_r1.checkpoints.verification.vllm_answers FOLDER QUESTION.json RESULT.json
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

TOKENS = 8  # that are generated
_ROOM = 1024  # tokens of prompt and answer
_SHARE = 0.7  # of a GPU's memory, for the weights
_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}  # GiB
_QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


def is_installed() -> bool:
    """Whether vLLM can be imported."""
    return importlib.util.find_spec("vllm") is not None


def answer(folder: Path, prompt: str, picture: Path | None, dtype: str) -> dict[str, Any]:
    """Load a model folder in vLLM and let it answer greedily.

    Args:
        folder: of the model.
        prompt: with the chat template applied.
        picture: an image file, if the prompt has a place for one.
        dtype: of the computation, float32, bfloat16 or float16.

    Returns:
        `prompt`: token ids, with those of the picture; `tokens`: the ids answered; `logprobs`: of each, in nats.
    """
    from PIL import Image
    from vllm import LLM, SamplingParams

    limits = {"limit_mm_per_prompt": {"image": 1, "video": 0}} if picture is not None else {}
    model = LLM(
        str(folder),
        dtype=dtype,
        enforce_eager=True,
        max_model_len=_ROOM,
        max_num_batched_tokens=_ROOM,
        max_num_seqs=1,
        tensor_parallel_size=_gpus(folder),
        **limits,
    )
    asked: Any = {"prompt": prompt}
    if picture is not None:
        asked["multi_modal_data"] = {"image": Image.open(picture).convert("RGB")}
    greedy = SamplingParams(temperature=0.0, max_tokens=TOKENS, logprobs=0, ignore_eos=True)
    (result,) = model.generate(asked, greedy, use_tqdm=False)
    tokens = list(result.outputs[0].token_ids)
    logprobs = [place[token].logprob for place, token in zip(result.outputs[0].logprobs or [], tokens, strict=True)]
    return {"prompt": list(result.prompt_token_ids or []), "tokens": tokens, "logprobs": logprobs}


def _gpus(folder: Path) -> int:
    """How many GPUs the weights need, a power of two; 1 on a machine without any."""
    import torch

    count = 1
    if torch.cuda.is_available():
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        memory = torch.cuda.get_device_properties(0).total_memory
        while count * 2 <= torch.cuda.device_count() and size > _SHARE * memory * count:
            count *= 2
    return count


def main(folder: Path, question: Path, result: Path) -> None:
    """Read the question, write the answer."""
    import torch

    os.environ.update(_QUIET)
    if not torch.cuda.is_available():
        os.environ.update(_CPU)
    asked = json.loads(question.read_text(encoding="utf-8"))
    picture = Path(asked["picture"]) if asked["picture"] else None
    found = answer(folder, asked["prompt"], picture, asked["dtype"])
    result.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
