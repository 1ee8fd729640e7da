"""`medix-r1 kuberay`: a run as Kubernetes objects, from the same settings as `medix-r1 train`.

A RayJob of the KubeRay operator holds the run. A judge that the run would start itself becomes a Deployment with a
Service, because it outlives the attempts of the RayJob.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.model_names import is_hub_name
from medix_r1.serving import server
from medix_r1.serving.address import is_loopback
from medix_r1.serving.composed_judges import asks, members
from medix_r1.serving.foreground import attached

_JUDGE_PORT = 8000
# A label of Kubernetes (RFC 1123); the operator appends up to 16 characters to it.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,45}[a-z0-9])?")
_QUANTITY = re.compile(r"[1-9][0-9]*(\.[0-9]+)?(Ki|Mi|Gi|Ti)?")

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the config does not know: where the pods find things.

    Attributes:
        name: of all objects; a DNS label of at most 47 characters.
        image: container image with medix-r1 (scripts/container/Containerfile).
        claim: PersistentVolumeClaim that all nodes can write (ReadWriteMany), with runs, data and models.
        mount: where it is mounted, an absolute path.
        secret: Secret whose entries become environment variables (API keys); None: no keys.
        judge_key: the secret has VLLM_API_KEY: the judge answers only callers with it, and the run sends it.
        hub: folder of `medix-r1 fetch`, for HF_HOME; None: the pods reach the hub.
        programs: folder of `medix-r1` and `ray` in the image.
        cpus: cores a node; None: no request, the pod sees the node's.
        memory: host memory a node as a Kubernetes quantity, such as `900Gi`; None: no request.
        shared_memory: limit of /dev/shm, which Ray, NCCL and vLLM use; it counts as memory of the pod.
        judge_gpus: GPUs of the judge's pod.
        retries: how often the RayJob is tried again; each attempt resumes.
    """

    name: str
    image: str
    claim: str
    mount: str = "/shared"
    secret: str | None = None
    judge_key: bool = False
    hub: str | None = None
    programs: str = "/opt/medix-r1/.venv/bin"
    cpus: int | None = None
    memory: str | None = None
    shared_memory: str = "64Gi"
    judge_gpus: int = 1
    retries: int = 3


def manifest(overrides: Sequence[str], config_dirs: Sequence[Path], cluster: Cluster) -> str:
    """The YAML documents of a run: judge (if the run would start one) and RayJob.

    Raises:
        ConfigError: the config does not compose, a path lies outside the shared volume, or an option has a wrong form.
    """
    config = configs.compose_train(overrides, config_dirs)
    if problems := [*_option_problems(cluster), *_config_problems(config, cluster)]:
        raise ConfigError(problems)
    objects: list[Object] = []
    run = list(overrides)
    wait = None
    if config.judge.server is not None:
        settings = _judge_settings(config, cluster)
        address = f"http://{cluster.name}-judge:{_JUDGE_PORT}"
        objects += [_judge_deployment(settings, overrides, cluster), _judge_service(cluster)]
        run += attached(config, settings, address)
        run += ["judge.client.api_key_env=VLLM_API_KEY"] if cluster.judge_key else []
        wait = (address, settings.start_timeout)
    objects.append(_ray_job(config, run, cluster, wait))
    text = yaml.dump_all(objects, Dumper=_WithoutAliases, sort_keys=False, width=120)
    return _HEAD.format(name=cluster.name) + text


class _WithoutAliases(yaml.SafeDumper):
    """Writes equal objects out, for readers that do not know YAML's anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_HEAD = """# Made by `medix-r1 kuberay`; apply with `kubectl apply -f FILE`.
# Progress: kubectl logs -f -l job-name={name}; or `medix-r1 status RUN` in any pod that has the volume.
"""


def _judge_settings(config: DictConfig, cluster: Cluster) -> server.ServerSettings:
    fields = OmegaConf.to_container(config.judge.server, resolve=True)
    assert isinstance(fields, dict)
    named = {str(key): value for key, value in fields.items()}
    return server.ServerSettings(**{**named, "host": "0.0.0.0", "port": _JUDGE_PORT, "environment": {}})


def _option_problems(cluster: Cluster) -> list[Problem]:
    found = []
    for option, text in (("--name", cluster.name), ("--claim", cluster.claim), ("--secret", cluster.secret or "a")):
        if not _NAME.fullmatch(text):
            message = f"'{text}' is no name for Kubernetes: a-z, 0-9 and -, from a letter on, at most 47 characters"
            found.append(Problem(option, "not-a-kubernetes-name", message))
    for option, quantity in (("--memory", cluster.memory or "1"), ("--shared-memory", cluster.shared_memory)):
        if not _QUANTITY.fullmatch(quantity):
            found.append(Problem(option, "not-a-quantity", f"'{quantity}' is no amount of memory; write it as 900Gi"))
    if not cluster.image or cluster.image != cluster.image.strip() or " " in cluster.image:
        found.append(Problem("--image", "not-an-image", f"'{cluster.image}' is no container image"))
    for option, path in (("--mount", cluster.mount), ("--programs", cluster.programs)):
        if not PurePosixPath(path).is_absolute() or path == "/":
            found.append(Problem(option, "not-absolute", f"'{path}' is no absolute path below /"))
    for option, number, least in (
        ("--cpus", cluster.cpus if cluster.cpus is not None else 1, 1),
        ("--judge-gpus", cluster.judge_gpus, 1),
        ("--retries", cluster.retries, 0),
    ):
        if number < least:
            found.append(Problem(option, "out-of-range", f"{number} is less than {least}"))
    if cluster.judge_key and cluster.secret is None:
        found.append(Problem("--judge-key", "needs-a-secret", "the key comes from a secret; give --secret"))
    if cluster.hub is not None and not _below(cluster.hub, cluster.mount):
        found.append(_outside("--hub", cluster.hub, cluster))
    return found


def _config_problems(config: DictConfig, cluster: Cluster) -> list[Problem]:
    """Paths that the pods cannot see, and settings that another machine would need."""
    found = []
    files = [(key, path) for key in ("data.train_files", "data.val_files") for path in _texts(config, key)]
    models = [(key, path) for key in ("actor_rollout_ref.model.path", "judge.server.model", "embedder.model")
              for path in _texts(config, key) if not is_hub_name(path) and "://" not in path]  # fmt: skip
    for key, path in [("run.dir", str(config.run.dir)), *files, *models]:
        if not _below(path, cluster.mount):
            found.append(_outside(key, path, cluster))
    if config.placement.judge in ("own_gpus", "own_node", "inside_verl"):
        message = "the judge gets a pod of its own; leave placement= out, or write placement=address"
        found.append(Problem("placement", "not-in-kubernetes", message))
    for key, node in [*members(config.judge.client), ("embedder", config.embedder or {})]:
        for address in [node.get("base_url"), *(node.get("base_urls") or ())]:
            if address is not None and is_loopback(str(address)) and not asks(node, config.judge.server):
                message = f"{address} leads every pod to itself; give an address that the pods reach"
                found.append(Problem(f"{key}.base_url", "loopback-address", message))
    if not config.trainer.n_gpus_per_node or str(config.trainer.get("device", "cuda")) == "cpu":
        message = "the pods ask for GPUs, and this run has none; choose a hardware= with GPUs"
        found.append(Problem("hardware", "no-gpus", message))
    return found


def _texts(config: DictConfig, key: str) -> list[str]:
    value = OmegaConf.select(config, key)
    if value is None:
        return []
    return [str(one) for one in (value if OmegaConf.is_list(value) else [value])]


def _below(path: str, mount: str) -> bool:
    return PurePosixPath(path).is_relative_to(mount) and ".." not in PurePosixPath(path).parts


def _outside(key: str, path: str, cluster: Cluster) -> Problem:
    message = (
        f"'{path}' is not below {cluster.mount}, where the pods mount {cluster.claim}; put it there, or give --mount"
    )
    return Problem(key, "outside-the-volume", message)


def _labels(cluster: Cluster, part: str) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": cluster.name, "app.kubernetes.io/component": part}


def _container(cluster: Cluster, name: str, gpus: int) -> Object:
    """A container with GPUs, the volume, /dev/shm and the environment."""
    limits: dict[str, Any] = {"nvidia.com/gpu": gpus}
    if name != "judge":
        limits |= {"cpu": cluster.cpus} if cluster.cpus is not None else {}
        limits |= {"memory": cluster.memory} if cluster.memory is not None else {}
    found: Object = {
        "name": name,
        "image": cluster.image,
        "resources": {"limits": limits, "requests": dict(limits)},
        "volumeMounts": [{"name": "shared", "mountPath": cluster.mount}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
    if cluster.secret is not None:
        found["envFrom"] = [{"secretRef": {"name": cluster.secret}}]
    if cluster.hub is not None:
        found["env"] = [{"name": "HF_HOME", "value": cluster.hub}, {"name": "HF_HUB_OFFLINE", "value": "1"}]
    return found


def _pod(cluster: Cluster, part: str, container: Object, **spec: Any) -> Object:
    return {
        "metadata": {"labels": _labels(cluster, part)},
        "spec": {
            **spec,
            "containers": [container],
            "volumes": [
                {"name": "shared", "persistentVolumeClaim": {"claimName": cluster.claim}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": cluster.shared_memory}},
            ],
        },
    }


def _judge_deployment(settings: server.ServerSettings, overrides: Sequence[str], cluster: Cluster) -> Object:
    """`medix-r1 serve` with the run's judge; the key in VLLM_API_KEY, if the secret has one, protects it."""
    labels = _labels(cluster, "judge")
    of_judge = [word for word in overrides if re.match(r"[+~]*judge([=.@]|$)", word)]
    container = _container(cluster, "judge", cluster.judge_gpus)
    container["command"] = [f"{cluster.programs}/medix-r1", "serve", *of_judge]
    container["command"] += ["judge.server.host=0.0.0.0", f"judge.server.port={_JUDGE_PORT}"]
    container["ports"] = [{"name": "http", "containerPort": _JUDGE_PORT}]
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10}
    container["startupProbe"] = {**probe, "failureThreshold": max(1, round(settings.start_timeout / 10))}
    container["readinessProbe"] = probe
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{cluster.name}-judge", "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},  # a second judge beside the old one would need its GPUs
            "selector": {"matchLabels": labels},
            "template": _pod(cluster, "judge", container),
        },
    }


def _judge_service(cluster: Cluster) -> Object:
    labels = _labels(cluster, "judge")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{cluster.name}-judge", "labels": labels},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": _JUDGE_PORT, "targetPort": "http"}]},
    }


def _ray_job(config: DictConfig, run: Sequence[str], cluster: Cluster, wait: tuple[str, float] | None) -> Object:
    nodes, gpus = int(config.trainer.nnodes), int(config.trainer.n_gpus_per_node)
    head_spec: Mapping[str, Any] = {}
    if wait is not None:
        address, limit = wait
        waiting = _container(cluster, "wait-for-judge", 0)
        del waiting["resources"], waiting["volumeMounts"]
        module = "medix_r1.clusters.wait_for_judge"
        waiting["command"] = [f"{cluster.programs}/python", "-m", module, address, "--limit", f"{limit:.0f}"]
        head_spec = {"initContainers": [waiting]}
    workers = {
        "groupName": "workers",
        "replicas": nodes - 1,
        "minReplicas": nodes - 1,
        "maxReplicas": nodes - 1,
        "rayStartParams": {},
        "template": _pod(cluster, "worker", _container(cluster, "ray-worker", gpus)),
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": cluster.name, "labels": _labels(cluster, "run")},
        "spec": {
            "entrypoint": shlex.join([f"{cluster.programs}/medix-r1", "train", *run]),
            "backoffLimit": cluster.retries,  # a new Ray cluster each time; the same run.dir resumes
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "rayClusterSpec": {
                "rayVersion": version("ray"),
                "headGroupSpec": {
                    "rayStartParams": {"dashboard-host": "0.0.0.0"},  # the operator submits through it
                    "template": _pod(cluster, "head", _container(cluster, "ray-head", gpus), **head_spec),
                },
                **({"workerGroupSpecs": [workers]} if nodes > 1 else {}),
            },
        },
    }
