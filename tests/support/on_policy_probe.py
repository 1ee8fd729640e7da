"""New against old log-probabilities of one policy, by verl's FSDP engine: prints the differences as JSON.

python -m tests.support.on_policy_probe MODEL_FOLDER equal|verls [override …]

Eight rows, four in an update; an update's micro-batch holds two of them, verl's own log-prob pass all eight.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.engine_probe import ENVIRONMENT, build_engine, rows

BUDGET = 256


def probe(folder: Path, way: str, *overrides: str) -> dict[str, float]:
    """Run the probe and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.on_policy_probe", str(folder), way, *overrides],
        cwd=Path(__file__).parents[2],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def main() -> None:
    import torch
    import torch.distributed
    from verl.utils import tensordict_utils
    from verl.workers.utils.losses import ppo_loss
    from verl.workers.utils.padding import no_padding_2_padding, response_from_nested

    from medix_r1.training.verl_plugin.computing.equal_micro_batches import ROWS

    folder, way, *overrides = sys.argv[1:]
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    engine, model, actor = build_engine(folder, overrides)
    data = rows(engine, model.processor, padding=4)
    update = {"use_dynamic_bsz": True, "max_token_len_per_gpu": BUDGET}
    asked = update | {ROWS: 4} if way == "equal" else {"use_dynamic_bsz": True, "max_token_len_per_gpu": 64 * BUDGET}
    for key, value in asked.items():  # as TransferQueue hands a batch's extra_info to a worker
        tensordict_utils.assign_non_tensor_data(data, key, value)
    with engine.eval_mode():
        output = engine.infer_batch(data)
    data["old_log_probs"] = response_from_nested(output["model_output"]["log_probs"], data["response_mask"])

    first = next(tensordict_utils.make_iterator(data, mini_batch_size=4, epochs=1))
    tensordict_utils.assign_non_tensor(first, **update)
    tokens: list[float] = []
    replies: list[float] = []

    def loss(model_output: Any, data: Any, dp_group: Any = None) -> Any:
        log_probs = no_padding_2_padding(model_output["log_probs"], data).detach()
        padded = data.select("old_log_probs", "response_mask").to_padded_tensor()
        for new, old, mask in zip(log_probs, padded["old_log_probs"], padded["response_mask"].bool(), strict=True):
            difference = (new - old)[mask]
            tokens.extend(difference.abs().tolist())
            replies.append(float(difference.mean().exp() - 1))
        return ppo_loss(actor, model_output, data, dp_group)

    with engine.train_mode():
        engine.train_batch(first, loss)
    found = {"token": max(tokens), "reply": max(map(abs, replies)), "replies": len(replies)}
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
