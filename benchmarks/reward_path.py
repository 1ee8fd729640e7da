"""Which files and functions of the package one reward passes: `python benchmarks/reward_path.py CLONE`.

One reply goes through verl's way in, `run_single`, to its total; the judge is a loopback server and knows no answer
yet. Prints file → functions as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

CLONE = Path(sys.argv[1]).resolve()
PACKAGE = CLONE / "medix_r1"
_MANAGERS = ("medix_r1.training.verl_plugin.reward_manager", "medix_r1.training.reward_manager")  # now, and at 795c22a


class Tokenizer:
    """One token a character."""

    eos_token_id = 0

    def decode(self, tokens: list[int], skip_special_tokens: bool) -> str:
        """The text without the end token."""
        assert skip_special_tokens
        return "".join(chr(token) for token in tokens if token)


def config(address: str, run: str) -> dict[str, Any]:
    """What the reward manager reads of a run's config, with the judge as the only signal."""
    judge = {"_target_": "medix_r1.models.judge.ChatJudge", "base_url": address, "model": "stub-judge"}
    reward = {
        "signals": {"llm": {"_target_": "medix_r1.rewards.llm.JudgeReward", "judge": judge}},
        "weights": {"llm": 1.0},
        "weight_tables": {"source": {}, "modality": {}},
        "gate": None,
        "think_element": "think",
        "parser": "strict",
        "overlong": "reward",
        "num_workers": 1,
    }
    return {"reward": reward, "data": {"max_response_length": 200}, "run": {"dir": run, "plugins": []}}


def trajectory(text: str) -> Any:
    """A finished reply, as verl hands it to a reward manager."""
    import numpy as np
    import torch
    from verl import DataProto

    responses = torch.tensor([[*map(ord, text), 0]])
    batch = {"responses": responses, "attention_mask": torch.ones(1, 3 + responses.shape[-1], dtype=torch.int64)}
    row = {
        "uid": "step000003-prompt000001",
        "data_source": "vqa",
        "raw_prompt": [{"role": "user", "content": [{"type": "image", "bytes": b"\x89PNG"}]}],
        "reward_model": {"ground_truth": "<X_RAY>left lung"},
        "extra_info": {"question": "Which?", "choices": None, "answers": None},
    }
    return DataProto.from_dict(tensors=batch, non_tensors={k: np.array([v], dtype=object) for k, v in row.items()})


async def path() -> dict[str, set[str]]:
    """File of the package → its functions that were entered."""
    from omegaconf import OmegaConf

    from tests.support.judge_stub import JudgeStub

    found: dict[str, set[str]] = defaultdict(set)

    def entered(frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(PACKAGE):
            found[str(file.relative_to(PACKAGE))].add(frame.f_code.co_qualname)

    name = next(name for name in _MANAGERS if importlib.util.find_spec(name.rpartition(".")[0]) and _there(name))
    with JudgeStub(lambda prompt: "YES") as stub, tempfile.TemporaryDirectory() as run:
        manager = importlib.import_module(name).CompositeRewardManager(
            OmegaConf.create(config(stub.address, run)), Tokenizer(), None
        )
        reply = trajectory("<X_RAY><think>t</think><answer>another lung</answer>")
        sys.setprofile(entered)
        scored = await manager.run_single(reply)
        sys.setprofile(None)
    assert scored["reward_score"] == 1.0
    return found


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def main() -> None:
    """Print the path as JSON."""
    sys.path.insert(0, str(CLONE))
    found = asyncio.run(path())
    print(json.dumps({file: sorted(functions) for file, functions in sorted(found.items())}))


if __name__ == "__main__":
    main()
