"""A grading pod on the clone's cluster, made from the operator's own objects in a namespace of its own.

Its network policy lets nobody in: it is reached through the API server, which asks from the node, as probes do.
"""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deployment import ROOT, SYSTEM_NAMESPACE, Cluster, DeploymentError, images
from machine import timed
from quickstart import quickstart

from deepcoder_api.manifest import TrainingRunResource, parse_resource
from deepcoder_api.processes import SANDBOX_PORT
from deepcoder_operator import run_objects
from deepcoder_operator.frozen import Frozen, Images
from deepcoder_operator.labels import ROLE, Owner

START_SECONDS = 240
SETTLE_SECONDS = 6.0
LOOK_SECONDS = 30.0
LOOK_ATTEMPTS = 3  # an exec into gVisor was seen to fail, once in some hundreds, while the server lived on
Document = dict[str, Any]
Look = Mapping[str, Any]


def documents(namespace: str) -> list[Document]:
    """What the operator makes for the sandbox of the quickstart's run, without the run that would own it."""
    document = quickstart(0).run
    uid = str(uuid.uuid4())
    document = {**document, "metadata": {**document["metadata"], "namespace": namespace, "uid": uid}}
    run = parse_resource(document)
    assert isinstance(run, TrainingRunResource)
    owner = Owner("TrainingRun", namespace, run.metadata.name, uid)
    frozen = Frozen(run.resolved(), Images(images(), "IfNotPresent"))
    made = [
        *run_objects.foundations(owner, frozen.resource, SYSTEM_NAMESPACE),
        run_objects.sandbox_deployment(owner, frozen, 1),
    ]
    chosen = [one for one in made if one["metadata"]["name"] == owner.child("sandbox")]
    for one in chosen:
        del one["metadata"]["ownerReferences"]  # else it would be collected: its owner is not there
    return chosen


@dataclass(frozen=True)
class SandboxPod:
    """The pod, and where the grading server in it answers."""

    cluster: Cluster
    namespace: str
    name: str
    url: str

    def look(self) -> Look:
        """What is in it now, by dev/pod_look.py. Raises DeploymentError with the container's state."""
        script = (ROOT / "dev" / "pod_look.py").read_text()
        command = ("-n", self.namespace, "exec", self.name, "-c", "sandbox", "--", "python3", "-c", script)
        for _ in range(LOOK_ATTEMPTS):
            done = self.cluster.try_kubectl(*command, seconds=LOOK_SECONDS)
            if done.returncode == 0:
                return json.loads(done.stdout)
        state = self.cluster.get("pods", self.name, self.namespace)["status"].get("containerStatuses")
        raise DeploymentError(f"the pod cannot be looked into: {done.stderr.strip()[-300:]}; {json.dumps(state)}")

    def left_since(self, before: Look) -> str:
        """What is there and was not before, given seconds to go; empty when nothing is. Raises DeploymentError."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (left := difference(before, self.look())) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left


def difference(before: Look, after: Look) -> str:
    """What an attack has left or broken, as text. Descriptors may become fewer; all else is as it was."""
    own = ("processes", "descriptors")
    found = [
        f"{key}: {before[key]} became {after[key]}" for key in before if key not in own and before[key] != after[key]
    ]
    old, new = before["processes"], after["processes"]
    found += [f"process {pid} ({new[pid]}) is new" for pid in new if old.get(pid) != new[pid]]
    found += [f"process {pid} ({old[pid]}) is gone" for pid in old if pid not in new]
    for pid, count in after["descriptors"].items():
        if count > before["descriptors"].get(pid, count):
            found.append(f"process {pid} has {count} descriptors, before {before['descriptors'][pid]}")
    return "; ".join(found)


@contextmanager
def sandbox_pod(cluster: Cluster, namespace: str) -> Iterator[SandboxPod]:
    """A ready grading pod; its namespace is taken away at the end. Raises DeploymentError."""
    delete = ("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s")
    cluster.kubectl(*delete, seconds=130)
    try:
        cluster.kubectl("create", "namespace", namespace)
        made = documents(namespace)
        cluster.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
        deployment = next(one["metadata"]["name"] for one in made if one["kind"] == "Deployment")
        wait = ("rollout", "status", f"deployment/{deployment}", f"--timeout={START_SECONDS}s")
        with timed("starting a grading pod, which first shows its isolation"):
            cluster.kubectl("-n", namespace, *wait, seconds=START_SECONDS + 20)
        pod = cluster.items("pods", f"{ROLE}=sandbox", namespace)[0]["metadata"]["name"]
        with _api_proxy(cluster) as address:
            path = f"/api/v1/namespaces/{namespace}/pods/{pod}:{SANDBOX_PORT}/proxy"
            yield SandboxPod(cluster, namespace, pod, address + path)
    finally:
        cluster.kubectl(*delete, seconds=130)


@contextmanager
def _api_proxy(cluster: Cluster) -> Iterator[str]:
    """`kubectl proxy` on a free port of this machine's loopback; its address."""
    command = ["kubectl", "proxy", "--port=0"]
    with subprocess.Popen(command, env=cluster.environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if "127.0.0.1:" not in said:
                raise DeploymentError(f"`kubectl proxy` does not say where it serves: {said!r}")
            yield "http://127.0.0.1:" + said.rpartition(":")[2].strip()
        finally:
            process.kill()
