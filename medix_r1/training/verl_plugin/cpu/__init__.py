"""What verl 0.9.1 and vLLM 0.24 need on a machine with no GPU; active only with VERL_PLATFORM=cpu; imports verl, vLLM.

Extensions through official registries:

- platform.py: `verl.plugin.platform.PlatformRegistry`; verl knows cuda and npu only.
- rollout.py and replica.py: `verl.workers.rollout.replica.RolloutReplicaRegistry`, to name a worker extension.

Patches, each with the four parts that patches/__init__.py describes:

- process_group.py: verl builds a backend string that torch refuses.
- offload.py: verl pins the memory of forward-only models; engine.py mixes it in.
- linear_weights.py: vLLM drops a linear layer's weight once it is packed.
- idle_readers.py: vLLM's readers busy-wait on cores that others need.
"""

from __future__ import annotations

import os


def is_active() -> bool:
    """Whether this process was asked to run on the CPU platform."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def install() -> None:
    """Register the CPU platform, process group and rollout with verl; called in every process, any number of times."""
    from medix_r1.training.verl_plugin.cpu import platform, process_group, rollout

    platform.register()
    process_group.install()
    rollout.register()
