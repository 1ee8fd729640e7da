"""verl's balancer of vLLM's replicas, with the rollouts of a prompt kept together.

The process of the balancer imports this file before anything of verl, so no file that the plug-in loads imports it.
"""

from __future__ import annotations

from typing import Any

from cachetools import LRUCache
from verl.workers.rollout.router import GlobalRequestLoadBalancer

from medix_r1.training.verl_plugin.request_ids import group_of

RATIO = 1.5  # most requests of a group's replica, as a multiple of those of the least busy one
SLACK = 8  # requests; without it, groups would be split while few are in flight


class GroupLoadBalancer(GlobalRequestLoadBalancer):
    """verl's balancer, which keeps requests of one group together; those of no group are routed as verl does."""

    def __init__(self, servers: dict[str, Any], max_cache_size: int = 10_000, full_determinism: bool = False) -> None:
        super().__init__(servers, max_cache_size, full_determinism)
        self._sent: LRUCache[str, int] = LRUCache(max_cache_size)  # group → number of its requests to its replica

    def acquire_server(self, request_id: str) -> tuple[str, Any]:
        """The replica of a request, as (id, handle)."""
        group = group_of(request_id)
        if not group:
            return super().acquire_server(request_id)
        if self._is_much_busier(group):
            del self._request_id_to_server[group]
        if group not in self._request_id_to_server:
            self._sent[group] = 0
        self._sent[group] = self._sent.get(group, 0) + 1
        return super().acquire_server(group)

    def _is_much_busier(self, group: str) -> bool:
        """Whether the group's replica has over 1.5 times the requests of the least busy one and 8 more.

        The group's own requests do not count, so that a large group is not split for its size.
        """
        home = self._request_id_to_server.get(group)
        if home not in self._inflight_requests:
            return False
        others = self._inflight_requests[home] - self._sent.get(group, 0)
        return others > RATIO * min(self._inflight_requests.values()) + SLACK
