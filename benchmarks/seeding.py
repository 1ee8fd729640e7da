"""What seeds of their own cost vLLM's requests: tokens a second with and without them, on this machine.

    python benchmarks/seeding.py [--sequences 64 256] [--tokens 128] [--repeats 3]

vLLM draws for seeded requests one by one at every token. Two measurements, with and without seeds in turn: the whole
engine with the nano policy, which has 768 entries in its vocabulary, and vLLM's own draw alone (`random_sample`) over
151,936 entries, the vocabulary of Qwen3. One thread, as in `hardware=cpu`. Medians of the repeats. Processor seconds
tell more than the clock where other work runs. Kept in results/seeding.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

VOCABULARY = 151936
_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "TORCHDYNAMO_DISABLE": "1"}
_CPU |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # as hardware=cpu sets them
_QUIET = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "VERL_USE_EXTERNAL_PLUGINS": "none"}


def engine_rates(sequences: list[int], tokens: int, repeats: int) -> list[dict[str, float]]:
    """The whole engine, for each number of sequences: tokens a second, and processor seconds for 1,000 tokens."""
    import psutil
    from vllm import LLM, SamplingParams

    from medix_r1.demo.shipped import shipped_folder, unpack

    policy = Path(tempfile.mkdtemp(prefix="seeding")) / "policy"
    unpack(shipped_folder("policy"), policy)
    most = max(sequences)
    model = LLM(
        str(policy),
        dtype="float32",
        enforce_eager=True,
        limit_mm_per_prompt={"image": 0, "video": 0},
        max_num_seqs=most,
        max_model_len=tokens + 64,
        max_num_batched_tokens=64 * most,
        enable_chunked_prefill=False,
    )
    engine = [psutil.Process(), *psutil.Process().children(recursive=True)]

    def processor() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in engine)

    def measured(count: int, seeded: bool) -> tuple[float, float]:
        asked = [
            SamplingParams(temperature=1.0, max_tokens=tokens, ignore_eos=True, seed=number if seeded else None)
            for number in range(count)
        ]
        prompts: list[Any] = [{"prompt_token_ids": [5 + number % 700, 7, 9]} for number in range(count)]
        start, used = time.perf_counter(), processor()
        model.generate(prompts, asked, use_tqdm=False)
        return count * tokens / (time.perf_counter() - start), 1e3 * (processor() - used) / (count * tokens)

    measured(min(sequences), seeded=True)  # warm
    found = []
    for count in sequences:
        runs: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for _ in range(repeats):
            for seeded in (True, False):
                runs[seeded].append(measured(count, seeded))
        one: dict[str, float] = {"sequences": count}
        for name, seeded in (("seeded", True), ("plain", False)):
            rates, seconds = zip(*runs[seeded], strict=True)
            one |= {
                f"{name}_rate": round(statistics.median(rates)),
                f"{name}_cpu": round(statistics.median(seconds), 3),
            }
        found.append(one)
    return found


def draws(sequences: list[int], repeats: int) -> list[dict[str, float]]:
    """Processor milliseconds of one draw of vLLM's sampler for all sequences, and of its dispatch alone."""
    import torch
    from vllm.v1.sample.ops.topk_topp_sampler import random_sample

    found = []
    for count in sequences:
        generators = {number: torch.Generator().manual_seed(number) for number in range(count)}

        def milliseconds(vocabulary: int, seeded: dict[int, torch.Generator], count: int = count) -> float:
            probabilities = torch.full((count, vocabulary), 1 / vocabulary)
            start = time.process_time()
            random_sample(probabilities, seeded)
            return 1e3 * (time.process_time() - start)

        cases = {"seeded": (VOCABULARY, generators), "plain": (VOCABULARY, {})}
        cases |= {"seeded_dispatch": (8, generators), "plain_dispatch": (8, {})}
        times: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(repeats + 1):
            for name, case in cases.items():
                times[name].append(milliseconds(*case))
        found.append(
            {"sequences": count} | {name: round(statistics.median(each[1:]), 2) for name, each in times.items()}
        )
    return found


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    os.environ.update(_CPU | _QUIET)

    from results_file import keep, provenance

    record = provenance()
    record["what"] = (
        "generated tokens a second; milliseconds of one draw over a vocabulary of 151,936, and of 8 (dispatch)"
    )
    engine = engine_rates(asked.sequences, asked.tokens, asked.repeats)
    keep("seeding", "rates", {**record, "engine": engine, "draws": draws(asked.sequences, asked.repeats)})


if __name__ == "__main__":
    main()
