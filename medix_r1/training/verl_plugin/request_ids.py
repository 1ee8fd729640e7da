"""Ids of requests to vLLM that name their group. It imports nothing, because the balancer's process needs it first."""

from __future__ import annotations

_MARK = "#"  # between the name of a group and what tells its requests apart


def request_id(group: str, own: str) -> str:
    """The id of a request that belongs to a group; `own` tells it from the group's others."""
    return f"{group}{_MARK}{own}"


def group_of(request_id: str) -> str:
    """The group that an id names; empty for one of no group."""
    return request_id.rpartition(_MARK)[0]
