"""A plug-in for real runs whose agent loop fails for one rollout of some prompts, before it replies or when it has.

Prompts of step 2: of every even one rollout 1 raises before it generates, of every third rollout 2 when it has replied.
"""

from __future__ import annotations

import re
from typing import Any

STEP = 2
_PROMPT = re.compile(r"step(\d+)-prompt(\d+)")


class NoReply(Exception):
    """What stands for a broken picture, a lost server, a bug in an agent loop."""


def lost(uid: str, session: int) -> str | None:
    """When a rollout fails: `before` or `after` its reply; None for one that does not."""
    found = _PROMPT.fullmatch(uid)
    if found is None or int(found[1]) != STEP:
        return None
    number = int(found[2])
    if session == 1 and number % 2 == 0:
        return "before"
    return "after" if session == 2 and number % 3 == 0 else None


def install() -> None:
    """Wrap the agent loop of medix-r1."""
    from medix_r1.training.verl_plugin.agent_loop import SeededSingleTurnAgentLoop

    original = SeededSingleTurnAgentLoop.run

    async def run(self: Any, sampling_params: dict[str, Any], **row: Any) -> Any:
        when = lost(str(row.get("uid")), int(row.get("session_id", 0)))
        if when == "before":
            raise NoReply
        output = await original(self, sampling_params, **row)
        if when == "after":
            raise NoReply
        return output

    SeededSingleTurnAgentLoop.run = run


install()
