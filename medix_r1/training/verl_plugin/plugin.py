"""Plug-in that `import verl` imports, in every process of a run, Ray's workers included.

Two of verl's hooks load it: the entry point group `verl.plugins`, whose errors verl only logs at DEBUG, and the
environment variable VERL_USE_EXTERNAL_MODULES, which the launcher sets and whose errors verl raises. So everything
below must be safe to run twice.
"""

from __future__ import annotations

from medix_r1 import user_code
from medix_r1.training.verl_plugin import cpu


def activate() -> None:
    """Register our reward manager, agent loop and stack dumps, and install the patches; on CPUs also `cpu/`.

    Then come the user's plug-ins: what they register is there before verl looks anything up.
    """
    if cpu.is_active():
        cpu.install()
    from medix_r1.runs import stacks
    from medix_r1.training.verl_plugin import agent_loop, reward_manager
    from medix_r1.training.verl_plugin.patches import (
        group_routing,
        picture_files,
        position_ids,
        process_group_timeout,
        shared_images,
    )
    from medix_r1.training.verl_plugin.watching import seats

    stacks.register()
    position_ids.install()
    shared_images.install()
    picture_files.install()
    process_group_timeout.install()
    group_routing.install()
    seats.install()
    reward_manager.register()
    agent_loop.register()
    user_code.load_plugins()


activate()
