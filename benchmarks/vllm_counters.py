"""A plug-in that writes down what vLLM counts: cached tokens of each prompt, and pictures that the vision tower saw.

large_pictures.py loads it. Lines go to the file that the variable MEDIX_BENCH_COUNTERS names.
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any

from verl.workers.rollout.llm_server import LLMServerClient
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

_FILE = os.environ.get("MEDIX_BENCH_COUNTERS", os.devnull)


def _write(**fields: Any) -> None:
    handle = os.open(_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, (json.dumps(fields) + "\n").encode())
    os.close(handle)


def _counted_prompts(original: Any) -> Any:
    @functools.wraps(original)
    async def generate(self: Any, request_id: Any, *, prompt_ids: list[int], **request: Any) -> Any:
        output = await original(self, request_id, prompt_ids=prompt_ids, **request)
        _write(prompt=len(prompt_ids), cached=output.extra_fields.get("num_cached_tokens") or 0)
        return output

    return generate


def _counted_pictures(original: Any) -> Any:
    @functools.wraps(original)
    def execute(self: Any, scheduler_output: Any, *rest: Any, **more: Any) -> Any:
        pictures = sum(map(len, scheduler_output.scheduled_encoder_inputs.values()))
        if pictures:
            _write(pictures=pictures)
        return original(self, scheduler_output, *rest, **more)

    return execute


LLMServerClient.generate = _counted_prompts(LLMServerClient.generate)
GPUModelRunner._execute_mm_encoder = _counted_pictures(GPUModelRunner._execute_mm_encoder)
