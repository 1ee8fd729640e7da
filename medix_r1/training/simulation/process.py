"""The process of a simulation: reads a resolved config, prints a JSON line as each part begins, then the result.

python -m medix_r1.training.simulation.process FILE

A process of its own, because verl chooses its platform when it is imported, stand-ins replace functions for good, and
torch may end a process that it cannot serve. What verl prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from medix_r1.training.preflight.machine.micro_batch import MicroBatch, Stages

ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VERL_USE_EXTERNAL_PLUGINS": "none",
    "VERL_USE_EXTERNAL_MODULES": "",
    "VERL_LOGGING_LEVEL": "ERROR",
    "TORCHDYNAMO_DISABLE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
}


def main() -> None:
    """Simulate what the file asks for."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    began = time.monotonic()

    def say(**line: Any) -> None:
        out.write(json.dumps({**line, "seconds": round(time.monotonic() - began, 1)}) + "\n")
        out.flush()

    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    say(begins="imports verl and transformers")
    result = _simulated(asked, lambda text: say(begins=text))
    say(phases=result)
    out.flush()
    os._exit(0)  # fake tensors complain while Python takes its modules apart


def _simulated(asked: dict[str, Any], say: Any) -> dict[str, Any]:
    import torch.distributed
    from omegaconf import OmegaConf
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from medix_r1.training.verl_plugin.cpu import platform

    platform.register()
    torch.distributed.init_process_group("fake", rank=0, world_size=asked["ranks"], store=FakeStore())
    from medix_r1.training.simulation import phases
    from medix_r1.training.simulation.asked import DENSE, PACKED

    config = OmegaConf.create(asked["config"])
    hf_config = _hf_config(asked)
    hf_config._attn_implementation = DENSE if asked["dense"] else PACKED
    given = asked["stages"]
    reference = given["reference"] and _micro_batch(given["reference"])
    stages = Stages(_micro_batch(given["update"]), _micro_batch(given["log_probs"]), reference)
    found = phases.Simulation(config, hf_config, stages, asked["flash"], say).run()
    return {
        name: {"bytes": phase.peak.bytes, "parts": dict(phase.peak.parts), "host": phase.host}
        for name, phase in found.items()
    }


def _micro_batch(values: dict[str, Any]) -> MicroBatch:
    return MicroBatch(**{**values, "pictures": tuple(values["pictures"])})


def _hf_config(asked: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    if asked["folder"]:
        return AutoConfig.from_pretrained(asked["folder"], trust_remote_code=False, local_files_only=True)
    config = AutoConfig.for_model(**asked["values"])
    text = config.get_text_config()
    if text.rope_parameters is not None and "mrope_section" not in text.rope_parameters:
        third = (text.hidden_size // text.num_attention_heads) * 3 // 16  # sizes count, not the angles
        text.rope_parameters["mrope_section"] = [third * 2 // 3, third, third]
    return config


if __name__ == "__main__":
    main()
