"""Counts what verl's FSDP engine really holds on each CPU rank in one update, beside what `medix-r1 check` estimates.

python -m tests.support.engine_memory MODEL_FOLDER RANKS [override …]

Prints one JSON line a rank. `counted` are bytes of that rank: parameters, gradients and optimizer states by their local
tensors; `activations` is the most that autograd kept for the backward pass at any moment, parameters not counted.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

PICTURE = (96 // 32) ** 2  # tokens of a row's picture, as engine_probe.py makes it


class Kept:
    """Bytes that autograd keeps for the backward pass: now, and at most."""

    def __init__(self) -> None:
        self._alive: dict[int, tuple[int, int]] = {}  # address -> times kept, bytes
        self.peak = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        import torch

        with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda packed: packed[0]):
            yield

    def _pack(self, tensor: Any) -> tuple[Any, Any]:
        token, saved = _Token(), tensor
        base = tensor if tensor._base is None else tensor._base
        if not (base.is_leaf and base.requires_grad):  # a parameter, which FSDP gathers anew for the backward pass
            if tensor.is_nested:
                tensor = tensor.values()
            storage = tensor.untyped_storage()
            address, size = storage.data_ptr(), storage.nbytes()
            count, _ = self._alive.get(address, (0, 0))
            self._alive[address] = (count + 1, size)
            weakref.finalize(token, self._drop, address)
            self.peak = max(self.peak, sum(bytes_ for _, bytes_ in self._alive.values()))
        return saved, token

    def _drop(self, address: int) -> None:
        count, size = self._alive[address]
        if count == 1:
            del self._alive[address]
        else:
            self._alive[address] = (count - 1, size)


class _Token:
    """Lives as long as autograd keeps one tensor."""


def local_bytes(tensors: Iterator[Any]) -> int:
    return sum((t.to_local() if hasattr(t, "to_local") else t).nbytes for t in tensors if t is not None)


def one_rank(rank: int, ranks: int, store: str, folder: str, overrides: list[str], out: Any) -> None:
    import torch.distributed
    from verl.workers.utils.losses import ppo_loss

    from medix_r1 import config as configs
    from medix_r1.training.preflight.machine import activations, memory
    from medix_r1.training.preflight.machine.micro_batch import MicroBatch
    from tests.support.engine_probe import build_engine, rows

    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    overrides = [f"trainer.n_gpus_per_node={ranks}", *overrides]
    engine, model, actor = build_engine(folder, overrides)
    data = rows(engine, model.processor, 0)
    tokens = max(len(row) for row in data["input_ids"].unbind())  # one row at a time, as `rows` asks
    kept = Kept()
    with engine.train_mode():
        with kept.watched():
            engine.train_batch(data, partial(ppo_loss, config=actor))
        parameters = list(engine.module.parameters())
        states = [value for state in engine.optimizer.state.values() for value in state.values() if value.ndim]
        counted = {
            "parameters": local_bytes(iter(parameters)),
            "gradients": local_bytes(p.grad for p in parameters),
            "optimizer": local_bytes(iter(states)),
            "activations and logits": kept.peak,
        }
    config = configs.compose_train(["experiment=nano_cpu", f"actor_rollout_ref.model.path={folder}", *overrides])
    config.actor_rollout_ref.actor.ppo_max_token_len_per_gpu = tokens
    size = memory.size_of(Path(folder))
    update = memory.estimate(size, config, 0.0).update
    found = {name: update[name] for name in ("parameters", "gradients", "optimizer")}
    packed = bool(config.actor_rollout_ref.model.use_remove_padding)
    micro_batch = MicroBatch(1, tokens, (PICTURE,), padded=not packed)
    begins = next(activations.of_update(size, config, micro_batch, found))
    found["activations and logits"] = begins["activations"] + begins["logits"]
    out.put({"rank": rank, "tokens": tokens, "counted": counted, "estimated": found})
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def main() -> None:
    folder, ranks, *overrides = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
    import verl.workers.engine  # noqa: F401  (once, before the ranks are forked)

    context = multiprocessing.get_context("fork")
    out = context.Queue()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = (ranks, f"{scratch}/store", folder, overrides, out)
        processes = [context.Process(target=one_rank, args=(rank, *arguments)) for rank in range(ranks)]
        for process in processes:
            process.start()
        lines = sorted((out.get(timeout=300) for _ in processes), key=lambda line: line["rank"])
        for process in processes:
            process.join()
    for line in lines:
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
