"""A Process as the pod that runs it: containers, volumes, probes and the security that every pod gets. No I/O."""

from __future__ import annotations

from typing import Any

from deepcoder_api.processes import CONFIG_PATH, Probe, Process, Volume
from deepcoder_api.specification import PodSpec, kubernetes_form
from deepcoder_operator.frozen import Images
from deepcoder_operator.labels import Owner

Document = dict[str, Any]

USER = 10001
GPU_RESOURCE = "nvidia.com/gpu"
CONFIG_FOLDER = CONFIG_PATH.rpartition("/")[0]
_CONFIG_VOLUME = "config"
_TEMPORARY_VOLUME = "temporary"
# A program in the sandbox that finds its way to /tmp must not fill the node's disk.
_SANDBOX_TEMPORARY: Document = {"medium": "Memory", "sizeLimit": "64Mi"}

_DOWNWARD: dict[str, str] = {
    "POD_IP": "status.podIP",
    "POD_NAME": "metadata.name",
    "NODE_NAME": "spec.nodeName",
}


def pod_template(
    owner: Owner,
    process: Process,
    images: Images,
    *,
    attempt: int | None = None,
    restart_policy: str = "Always",
    annotations: dict[str, str] | None = None,
    subdomain: str | None = None,
) -> Document:
    """The pod template of a process. Its pods get no token of the API server, and no environment of Services."""
    containers = [_container(process, images)]
    spec: Document = {
        "restartPolicy": restart_policy,
        "serviceAccountName": _service_account(owner, process),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": process.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": containers,
        "volumes": _volumes(owner, process),
    }
    if process.before:
        spec["initContainers"] = [_container(before, images) for before in process.before]
    if process.runtime_class_name:
        spec["runtimeClassName"] = process.runtime_class_name
    if images.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in images.pull_secrets]
    if subdomain:
        spec["subdomain"] = subdomain
    given = kubernetes_form(process.pod)
    for key in ("nodeSelector", "tolerations", "priorityClassName"):
        if given.get(key):
            spec[key] = given[key]
    metadata: Document = {"labels": owner.labels(process.role, attempt)}
    if notes := {**(annotations or {}), **process.pod.annotations}:
        metadata["annotations"] = notes
    return {"metadata": metadata, "spec": spec}


def _service_account(owner: Owner, process: Process) -> str:
    # The sandbox has an account of its own, so that a cloud identity given to the run's pods never reaches it.
    if process.role == "sandbox":
        return owner.child("sandbox")
    chosen = process.pod.service_account_name if isinstance(process.pod, PodSpec) else None
    return chosen or owner.child("pods")


def _container(process: Process, images: Images) -> Document:
    container: Document = {
        "name": process.role,
        "image": process.pod.image or _reference(process, images),
        "imagePullPolicy": images.pull_policy,
        "command": list(process.command),
        "env": _environment(process),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(process),
    }
    if resources := _resources(process):
        container["resources"] = resources
    if process.ports:
        container["ports"] = [{"name": name, "containerPort": port} for name, port in process.ports.items()]
    probes = {
        "readinessProbe": process.readiness,
        "livenessProbe": process.liveness,
        "startupProbe": process.startup,
    }
    return container | {key: _probe(probe) for key, probe in probes.items() if probe}


def _reference(process: Process, images: Images) -> str:
    found = images.find(process.image)
    assert found is not None, f"{process.image}: the plan of an evaluation sees to it that its engine has an image"
    return found


def _environment(process: Process) -> list[Document]:
    # By name, so that none is there twice: a process's own address and its keys win over what `pod.env` says.
    variables: dict[str, Document] = {}
    if process.role != "sandbox":
        variables |= {name: {"valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _DOWNWARD.items()}
    variables |= {name: {"value": value} for name, value in process.environment.items() if name not in variables}
    for secret in process.secrets:
        reference: Document = {"name": secret.secret, "key": secret.name}
        if secret.optional:
            reference["optional"] = True
        variables[secret.name] = {"valueFrom": {"secretKeyRef": reference}}
    return [{"name": name, **source} for name, source in variables.items()]


def _resources(process: Process) -> Document:
    requests, limits = dict(process.resources.requests), dict(process.resources.limits)
    if process.gpus:
        limits[GPU_RESOURCE] = str(process.gpus)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def _probe(probe: Probe) -> Document:
    return {
        "httpGet": {"path": probe.path, "port": probe.port},
        "periodSeconds": probe.period_seconds,
        "failureThreshold": probe.failure_threshold,
        "timeoutSeconds": max(1, min(5, probe.period_seconds)),
    }


def _reads_config(process: Process) -> bool:
    return "DEEPCODER_CONFIG" in process.environment


def _mounts(process: Process) -> list[Document]:
    mounts: list[Document] = [{"name": _TEMPORARY_VOLUME, "mountPath": "/tmp"}]
    if _reads_config(process):
        mounts.append({"name": _CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": True})
    for volume in process.volumes:
        mount: Document = {"name": volume.name, "mountPath": volume.path}
        reads = volume.kind == "claim" or (volume.kind == "cache" and process.role != "model")
        mounts.append({**mount, "readOnly": True} if reads else mount)
    return mounts


def _volumes(owner: Owner, process: Process) -> list[Document]:
    everyone = (process, *process.before)
    temporary = _SANDBOX_TEMPORARY if process.role == "sandbox" else {}
    volumes: dict[str, Document] = {_TEMPORARY_VOLUME: {"emptyDir": temporary}}
    if any(_reads_config(member) for member in everyone):
        volumes[_CONFIG_VOLUME] = {"configMap": {"name": owner.child("config")}}
    for member in everyone:
        volumes |= {volume.name: _volume_source(volume) for volume in member.volumes}
    return [{"name": name, **source} for name, source in volumes.items()]


def _volume_source(volume: Volume) -> Document:
    if volume.kind == "claim":
        return {"persistentVolumeClaim": {"claimName": volume.claim, "readOnly": True}}
    if volume.kind == "cache":
        return {"persistentVolumeClaim": {"claimName": volume.claim}}
    empty: Document = {"medium": "Memory"} if volume.kind == "memory" else {}
    return {"emptyDir": {**empty, "sizeLimit": volume.size} if volume.size else empty}
