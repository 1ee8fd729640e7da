"""The rollouts of a prompt go to one replica, so that its caches of prefix and pictures serve all but the first.

Upstream: verl 0.9.1 gives each rollout a request id of its own, and its balancer sends every new id to the replica with
the fewest requests. So the rollouts of a group are spread over all replicas, and each of these computes prompt and
pictures again.

See it: docs/upstream/group_routing.py

Here: the agent loop asks with an id that begins with the prompt's name. The balancer sends a prompt's first rollout to
the least busy replica, and the others after it. A rollout leaves the replica of its group, and those to come with it,
when that one has much more to do with other prompts than the least busy one (load_balancer.py). A router of the user's
own (`rollout.router_config_path`) stays.

Goes when: the script says that a group goes to one replica.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from verl.workers.rollout import router

from medix_r1.training.verl_plugin.patches.replacing import replace_once


def install() -> None:
    """Wrap `get_router_handle`; a second call does nothing."""
    replace_once(router, "get_router_handle", _by_group)


def _by_group(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def handle(
        servers: dict[str, Any],
        router_config_path: str | None = None,
        full_determinism: bool = False,
        load_balancer_cls: type | None = None,
    ) -> Any:
        # Not above: a process may import load_balancer.py first, which imports verl, which imports this file.
        from medix_r1.training.verl_plugin.load_balancer import GroupLoadBalancer

        if not (router_config_path or full_determinism or load_balancer_cls):
            load_balancer_cls = GroupLoadBalancer
        return original(servers, router_config_path, full_determinism, load_balancer_cls)

    return handle
