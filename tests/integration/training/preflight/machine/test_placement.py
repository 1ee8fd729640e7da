"""Where judge and trainer stand: what composes, and what is refused."""

import socket
from types import SimpleNamespace

import psutil
import pytest
from omegaconf import OmegaConf

from medix_r1.config import gpus_of_node
from medix_r1.errors import Problem
from medix_r1.serving.address import is_loopback
from medix_r1.training.preflight import checks
from medix_r1.training.preflight.machine.placement import cluster_problems, placement_problems
from tests.support.configs import varied
from tests.support.problems import codes

RECIPE = "experiment=medix_r1_8b_grpo"
ADDRESS = "judge.client.base_url=http://10.0.0.9:8000/v1"
HERE = ["auto", "local", "10.0.0.5:6379", "head:6379"]  # of a machine as the test says
CLUSTER = "ray_kwargs.ray_init.address=10.0.0.1:6379"


def placed(*overrides: str) -> list[Problem]:
    return list(placement_problems(varied(RECIPE, *overrides)))


@pytest.mark.parametrize(
    "overrides",
    [
        ("judge=vllm", "placement=own_gpus"),
        ("judge=vllm", "placement=shared"),
        ("judge=remote", "placement=own_node", ADDRESS),
        ("judge=remote", "placement=address", ADDRESS),
        ("judge=verl", "placement=inside_verl"),
        ("judge=remote", ADDRESS),
    ],
)
def test_every_placement_with_its_judge_is_right(overrides):
    assert placed(*overrides) == []


@pytest.mark.parametrize("placement", ["own_node", "address", "inside_verl"])
def test_a_judge_elsewhere_is_not_started_here(placement):
    (problem,) = placed("judge=vllm", f"placement={placement}")
    assert (problem.key, problem.code) == ("placement.judge", "judge-started-here")
    assert "judge=remote" in problem.text


@pytest.mark.parametrize("placement", ["own_gpus", "shared"])
def test_a_placement_of_gpus_needs_a_judge_to_place(placement):
    """`judge=remote` has no server, which these placements set GPUs of."""
    config = varied(RECIPE, f"placement={placement}", ADDRESS)
    assert config.judge.server is None
    found = [problem for problem in checks.problems(config) if problem.key.startswith("placement")]
    assert codes(found) == [("placement.judge", "no-judge-to-place")]


def test_beside_the_trainer_is_no_place_on_a_gpu():
    (problem,) = placed("judge=vllm")
    assert (problem.key, problem.code) == ("placement.judge", "judge-beside-trainer")
    assert "placement=own_gpus" in problem.text
    assert list(placement_problems(varied("experiment=nano_cpu"))) == [], "a CPU run has no GPU to share"


def test_gpus_that_train_do_not_judge():
    (problem,) = placed("judge=vllm", "placement=own_gpus", "trainer.n_gpus_per_node=8")
    assert (problem.key, problem.code) == ("placement.judge_gpus", "gpus-taken")
    assert "[6, 7]" in problem.text


def test_a_shared_gpu_keeps_room_for_the_actor():
    (problem,) = placed("judge=vllm", "placement=shared", "placement.judge_memory=0.6")
    assert (problem.key, problem.code) == ("placement.judge_memory", "gpu-overfull")
    assert "0%" in problem.text


@pytest.mark.parametrize(("placement", "first"), [("own_gpus", 6), ("shared", 0)])
def test_a_judge_that_is_started_needs_a_gpu(placement, first):
    """Its command would say `--tensor-parallel-size=0`."""
    (problem,) = placed("judge=vllm", f"placement={placement}", "placement.judge_gpus=[]")
    assert (problem.key, problem.code) == ("placement.judge_gpus", "no-gpu-for-judge")
    assert f"placement.judge_gpus=[{first}]" in problem.text


@pytest.mark.parametrize("placement", ["own_gpus", "shared"])
def test_a_judge_that_is_started_takes_a_share_of_its_gpus(placement):
    """Null would be the word `--gpu-memory-utilization=None`, and nothing in the sum with the rollouts' share."""
    found = placed("judge=vllm", f"placement={placement}", "placement.judge_memory=null")
    assert codes(found) == [("placement.judge_memory", "not-a-share")]


@pytest.mark.parametrize(
    ("overrides", "visible", "parallel", "rays"),
    [
        ((), "6,7", 2, 6),
        (("placement.judge_gpus=[7]", "trainer.n_gpus_per_node=7"), "7", 1, 7),
        (("placement.judge_gpus=[4,5,6,7]", "trainer.n_gpus_per_node=4"), "4,5,6,7", 4, 4),
    ],
)
def test_all_follows_from_the_judges_gpus(overrides, visible, parallel, rays):
    config = varied(RECIPE, "judge=vllm", "placement=own_gpus", *overrides)
    server = config.judge.server
    assert server.environment == {"CUDA_VISIBLE_DEVICES": visible}
    assert f"--tensor-parallel-size={parallel}" in server.arguments
    assert config.ray_kwargs.ray_init.num_gpus == rays == config.trainer.n_gpus_per_node


@pytest.mark.parametrize("placement", ["own_gpus", "shared"])
def test_every_word_of_the_judges_command_is_text(placement):
    """`subprocess` takes no number, and an interpolation alone would be one."""
    words = varied(RECIPE, "judge=vllm", f"placement={placement}").judge.server.arguments
    assert all(isinstance(word, str) for word in words)
    assert any(word.startswith("--gpu-memory-utilization=0.") for word in words)


@pytest.mark.parametrize(("trained", "judged", "node"), [(8, [], 8), (6, [6, 7], 8), (8, [0], 8), (7, [7], 8)])
def test_gpus_of_a_node(trained, judged, node):
    assert gpus_of_node(trained, judged) == node


def clustered(*overrides: str, **values: object) -> list[Problem]:
    config = varied(RECIPE, "hardware=a100x8_2nodes", CLUSTER, *overrides).copy()
    for key, value in values.items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    return list(cluster_problems(config))


def test_prepared_shards_have_whole_paths():
    assert clustered("judge=remote", ADDRESS, "placement=own_node") == []


def test_a_loopback_judge_is_seen_by_one_node_only():
    (problem,) = clustered("judge=vllm", "placement=shared")
    assert (problem.key, problem.code) == ("judge.client.base_url", "loopback-address")
    assert "http://127.0.0.1:0/v1" in problem.text
    assert "judge.server.host=0.0.0.0" in problem.text
    (problem,) = clustered("judge=remote", "judge.client.base_url=http://localhost:8000/v1")
    assert "judge.server" not in problem.text
    found = clustered("judge=remote", ADDRESS, "embedder=remote", "embedder.base_url=http://127.0.0.1:1/v1")
    assert codes(found) == [("embedder.base_url", "loopback-address")]


def test_nodes_on_one_machine_may_use_its_loopback():
    """As tests/acceptance/test_two_nodes.py does: nobody else can join a head at 127.0.0.1."""
    assert clustered("judge=vllm", "placement=shared", "ray_kwargs.ray_init.address=127.0.0.1:6379") == []


@pytest.mark.parametrize(("address", "here"), [*((each, True) for each in HERE), ("10.0.0.9:6379", False)])
def test_a_cluster_of_one_node_may_use_its_loopback(monkeypatch, address, here):
    """`ray job submit` gives a job the head's real address. Several nodes, or one elsewhere, are not this machine."""
    interface = [SimpleNamespace(address="10.0.0.5"), SimpleNamespace(address="00:16:3e:5e:6c:00")]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": interface})
    monkeypatch.setattr(socket, "gethostname", lambda: "Head")
    one_node = ("judge=vllm", "placement=own_gpus", f"ray_kwargs.ray_init.address={address}", "trainer.nnodes=1")
    found = [problem.key for problem in clustered(*one_node)]
    assert found == ([] if here else ["judge.client.base_url"])
    assert len(clustered(*one_node, "trainer.nnodes=2")) == 1


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:1/v1", True),
        ("//127.0.0.1:6379", True),
        ("http://10.0.0.1:8000/v1", False),
        ("http://judge/v1", False),
        ("//auto", False),
    ],
)
def test_loopback(url, loopback):
    assert is_loopback(url) is loopback


def test_each_judge_of_a_vote_is_looked_at():
    vote = {"judges": [{"base_url": "http://10.0.0.9:8000/v1"}, {"base_url": "http://127.0.0.1:8000/v1"}]}
    found = clustered("judge=remote", ADDRESS, **{"judge.client": vote})
    assert codes(found) == [("judge.client.judges[1].base_url", "loopback-address")]
