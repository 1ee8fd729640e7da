"""The rollouts of a prompt go to one replica, unless that one is much busier than another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from verl.workers.rollout import router
from verl.workers.rollout.router import GlobalRequestLoadBalancer

from medix_r1.training.verl_plugin.load_balancer import RATIO, SLACK, GroupLoadBalancer
from medix_r1.training.verl_plugin.patches import group_routing
from medix_r1.training.verl_plugin.request_ids import request_id

SERVERS = {f"replica {number}": f"handle {number}" for number in range(4)}


def sent(balancer: GroupLoadBalancer, prompts: int, rollouts: int) -> dict[int, list[str]]:
    """The replicas that a step's rollouts go to, by prompt: they come in rounds, the first of every prompt first."""
    found: dict[int, list[str]] = {prompt: [] for prompt in range(prompts)}
    for rollout in range(rollouts):
        for prompt in range(prompts):
            found[prompt].append(balancer.acquire_server(request_id(f"prompt {prompt}", str(rollout)))[0])
    return found


def test_a_group_goes_to_one_replica_and_the_replicas_get_equally_many() -> None:
    found = sent(GroupLoadBalancer(SERVERS), prompts=64, rollouts=5)

    assert [len(set(replicas)) for replicas in found.values()] == [1] * 64
    assert Counter(replica for replicas in found.values() for replica in replicas) == dict.fromkeys(SERVERS, 80)


def test_verls_balancer_spreads_it() -> None:
    balancer = GlobalRequestLoadBalancer(SERVERS)
    groups = [{balancer.acquire_server(f"{prompt}-{rollout}")[0] for rollout in range(5)} for prompt in range(64)]

    assert sum(map(len, groups)) / 64 > 3


def busy(balancer: GroupLoadBalancer, replica: str, requests: int) -> None:
    balancer._inflight_requests[replica] += requests


@pytest.mark.parametrize(
    ("least", "beyond", "is_split"), [(0, 0, False), (0, 1, True), (100, 0, False), (100, 1, True)]
)
def test_it_leaves_a_replica_that_is_much_busier(least: int, beyond: int, is_split: bool) -> None:
    balancer = GroupLoadBalancer(SERVERS)
    for replica in SERVERS:
        busy(balancer, replica, least)
    home, _ = balancer.acquire_server(request_id("prompt", "0"))
    busy(balancer, home, int(RATIO * least) + SLACK + beyond - least)

    others = [balancer.acquire_server(request_id("prompt", str(rollout))) for rollout in range(1, 5)]

    assert ({replica for replica, _ in others} == {home}) is not is_split
    assert len({replica for replica, _ in others}) == 1, "the rest of the group stays together"
    assert all(handle == SERVERS[replica] for replica, handle in others)


def test_a_large_group_is_not_split_for_its_size() -> None:
    balancer = GroupLoadBalancer(SERVERS)

    assert len({balancer.acquire_server(request_id("prompt", str(rollout)))[0] for rollout in range(200)}) == 1


def test_a_replica_that_was_removed_is_left() -> None:
    balancer = GroupLoadBalancer(SERVERS)
    home, _ = balancer.acquire_server(request_id("prompt", "0"))
    balancer.remove_servers([home])

    assert balancer.acquire_server(request_id("prompt", "1"))[0] != home


def test_requests_of_no_group_are_routed_as_verl_does() -> None:
    balancer = GroupLoadBalancer(SERVERS)

    assert {balancer.acquire_server(str(number))[0] for number in range(4)} == set(SERVERS)
    assert {balancer.acquire_server("7")[0] for _ in range(5)} == {balancer.acquire_server("7")[0]}, "a session stays"


@pytest.mark.parametrize(
    "own", [{"router_config_path": "mine.yaml"}, {"full_determinism": True}, {"load_balancer_cls": dict}]
)
def test_a_router_of_the_users_own_stays(own: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = SimpleNamespace(load_balancer_cls=None)

    def original(servers: Any, path: str | None, determinism: bool, load_balancer_cls: type | None) -> None:
        seen.load_balancer_cls = load_balancer_cls

    monkeypatch.setattr(router, "get_router_handle", original)
    group_routing.install()
    router.get_router_handle(servers=SERVERS)
    assert seen.load_balancer_cls is GroupLoadBalancer

    router.get_router_handle(servers=SERVERS, **own)
    assert seen.load_balancer_cls is own.get("load_balancer_cls")
    assert issubclass(GroupLoadBalancer, GlobalRequestLoadBalancer)


def test_the_balancers_process_can_import_it_first() -> None:
    """Ray's worker unpickles the class before anything imports verl, and verl's plug-in is ours."""
    loaded = "from medix_r1.training.verl_plugin.load_balancer import GroupLoadBalancer"
    environment = {**os.environ, "VERL_USE_EXTERNAL_MODULES": "medix_r1.training.verl_plugin.plugin"}
    done = subprocess.run([sys.executable, "-c", loaded], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
