"""Kubernetes objects of a run, held against the operator's and Kubernetes' own schemas."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from medix_r1.clusters.kuberay import Cluster, manifest
from medix_r1.config import compose_train
from medix_r1.errors import ConfigError
from tests.support.judge_stub import MODEL, JudgeStub

SCHEMA = yaml.safe_load(Path(__file__).with_name("rayjob_schema.yaml").read_text(encoding="utf-8"))
RUN = [
    "experiment=medix_r1_8b_grpo",
    "run.dir='/shared/runs/a, b=c'",
    "data.train_files=[/shared/data/train-00000.parquet]",
    "data.val_files=[/shared/data/validation-00000.parquet]",
]
CLUSTER = Cluster(name="try", image="registry.example/medix-r1:1", claim="runs")


def objects(overrides: list[str], cluster: Cluster = CLUSTER) -> dict[str, dict[str, Any]]:
    """Kind → object; each is valid."""
    found = {one["kind"]: one for one in yaml.safe_load_all(manifest(overrides, [], cluster))}
    for kind, one in found.items():
        if kind == "RayJob":
            jsonschema.validate(one, SCHEMA)
            spec = one["spec"]["rayClusterSpec"]
            templates = [group["template"] for group in (spec["headGroupSpec"], *spec.get("workerGroupSpecs", []))]
            for template in templates:
                wrapped = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}, "template": template}
                kubernetes_validate.validate(wrapped, "1.37", strict=True)
        else:
            kubernetes_validate.validate(one, "1.37", strict=True)
    return found


def entrypoint(found: dict[str, dict[str, Any]]) -> list[str]:
    program, verb, *overrides = shlex.split(found["RayJob"]["spec"]["entrypoint"])
    assert (Path(program).name, verb) == ("medix-r1", "train")
    return overrides


def test_one_node_with_a_judge_of_its_own():
    found = objects([*RUN, "judge=vllm"])

    assert set(found) == {"Deployment", "Service", "RayJob"}
    assert "workerGroupSpecs" not in found["RayJob"]["spec"]["rayClusterSpec"]
    run = compose_train(entrypoint(found))
    service = found["Service"]
    assert run.judge.server is None
    assert run.judge.client.base_url == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}/v1"
    assert run.judge.client.model == compose_train([*RUN, "judge=vllm"]).judge.server.served_name
    assert run.run.dir == "/shared/runs/a, b=c"  # what Hydra and a shell would split stays whole
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert "--" not in " ".join(found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["command"])


def test_several_nodes_and_every_option():
    options = replace(
        CLUSTER, secret="keys", judge_key=True, hub="/shared/hub", cpus=96, memory="900Gi", judge_gpus=2, retries=0
    )
    found = objects([*RUN, "judge=vllm", "hardware=a100x8_2nodes"], options)
    spec = found["RayJob"]["spec"]
    [workers] = spec["rayClusterSpec"]["workerGroupSpecs"]
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]

    assert [workers[key] for key in ("replicas", "minReplicas", "maxReplicas")] == [1, 1, 1]
    limits = {"nvidia.com/gpu": 8, "cpu": 96, "memory": "900Gi"}
    for pod in (head, workers["template"]["spec"]):
        [container] = pod["containers"]
        assert container["resources"] == {"limits": limits, "requests": limits}
        assert {"name": "HF_HOME", "value": "/shared/hub"} in container["env"]
        assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    [judge] = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert judge["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert spec["backoffLimit"] == 0
    assert compose_train(entrypoint(found)).judge.client.api_key_env == "VLLM_API_KEY"


def test_a_judge_elsewhere_is_only_told():
    found = objects([*RUN, "judge=remote", "judge.client.base_url=http://judge.example:8000/v1"])

    assert set(found) == {"RayJob"}
    assert "initContainers" not in found["RayJob"]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]


def test_no_key_of_the_environment_gets_in(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "sk-planted")
    monkeypatch.setenv("HF_TOKEN", "hf-planted")

    assert "planted" not in manifest([*RUN, "judge=vllm"], [], CLUSTER)


@pytest.mark.parametrize(
    ("overrides", "options", "codes"),
    [
        (["run.dir=runs/a"], {}, {("run.dir", "outside-the-volume")}),
        (["run.dir=/shared/../etc"], {}, {("run.dir", "outside-the-volume")}),
        (["run.dir=/sharedx/a"], {}, {("run.dir", "outside-the-volume")}),
        (["actor_rollout_ref.model.path=/models/b"], {}, {("actor_rollout_ref.model.path", "outside-the-volume")}),
        (["placement=own_gpus"], {}, {("placement", "not-in-kubernetes")}),
        (
            ["judge=remote", "judge.client.base_url=http://127.0.0.1:8000/v1"],
            {},
            {("judge.client.base_url", "loopback-address")},
        ),
        ([], {"name": "My_Run"}, {("--name", "not-a-kubernetes-name")}),
        ([], {"name": "a" * 48}, {("--name", "not-a-kubernetes-name")}),
        ([], {"claim": ""}, {("--claim", "not-a-kubernetes-name")}),
        ([], {"memory": "900 GB"}, {("--memory", "not-a-quantity")}),
        ([], {"image": "a b"}, {("--image", "not-an-image")}),
        ([], {"mount": "shared"}, None),
        ([], {"cpus": 0, "retries": -1}, {("--cpus", "out-of-range"), ("--retries", "out-of-range")}),
        ([], {"hub": "/hub"}, {("--hub", "outside-the-volume")}),
        ([], {"judge_key": True}, {("--judge-key", "needs-a-secret")}),
    ],
)
def test_what_cannot_work_is_refused(overrides, options, codes):
    keys = {word.partition("=")[0] for word in overrides}
    run = [*(word for word in RUN if word.partition("=")[0] not in keys), *overrides]

    with pytest.raises(ConfigError) as caught:
        manifest(run, [], replace(CLUSTER, **options))
    found = {(problem.key, problem.code) for problem in caught.value.problems}
    assert found == codes if codes is not None else ("--mount", "not-absolute") in found


def test_the_wait_for_the_judge():
    module = [sys.executable, "-m", "medix_r1.clusters.wait_for_judge"]
    with JudgeStub() as stub:
        address = f"http://127.0.0.1:{stub.port}"
        ready = subprocess.run([*module, address, "--limit", "60"], capture_output=True, text=True, check=False)
    gone = subprocess.run([*module, address, "--limit", "0"], capture_output=True, text=True, check=False)

    assert (ready.returncode, gone.returncode) == (0, 1)
    assert MODEL in ready.stdout
