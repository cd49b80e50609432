"""TrainingRuns and Evaluations on the cluster, as a user handles them: by kubectl."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from deployment import NAMESPACE, Cluster
from quickstart import quickstart

from deepcoder_api.artifacts import EvaluationPaths
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_data.store import ObjectStore

Document = dict[str, Any]

OWNED_KINDS = (
    *("jobs.batch", "deployments.apps", "replicasets.apps", "pods", "services", "configmaps", "serviceaccounts"),
    *("networkpolicies.networking.k8s.io", "poddisruptionbudgets.policy"),
)
PLURALS = {"TrainingRun": "trainingruns.deepcoder.dev", "Evaluation": "evaluations.deepcoder.dev"}
PHASE_SECONDS = 600.0


def training_run(name: str, **parts: Any) -> Document:
    """The quickstart's TrainingRun under another name; `parts` are of spec, mappings merged one level deep."""
    return _changed(quickstart(0).run, name, parts)


def evaluation(name: str, **parts: Any) -> Document:
    """The quickstart's Evaluation of the base model under another name, changed like a training run."""
    return _changed(quickstart(0).before, name, parts)


def endpoint_evaluation(name: str, endpoint: Document, **parts: Any) -> Document:
    """The same of a model that an endpoint serves, so without an engine."""
    document = evaluation(name, **parts)
    document["spec"]["model"] = {"endpoint": endpoint}
    del document["spec"]["engine"]
    return document


def evaluation_paths(resource: Document) -> EvaluationPaths:
    """Where an Evaluation's results lie."""
    meta = resource["metadata"]
    return EvaluationPaths(resource["spec"]["storage"]["uri"], meta["namespace"], meta["name"], meta["uid"])


def report_of(store: ObjectStore, resource: Document) -> EvaluationReport:
    """An Evaluation's report."""
    return EvaluationReport.model_validate_json(store.get_bytes(evaluation_paths(resource).report))


def samples_of(store: ObjectStore, resource: Document, columns: list[str]) -> list[dict[str, Any]]:
    """An Evaluation's answers and verdicts."""
    return pq.read_table(io.BytesIO(store.get_bytes(evaluation_paths(resource).samples)), columns=columns).to_pylist()


@dataclass
class Resources:
    """What the tests of one module apply."""

    cluster: Cluster
    made: list[tuple[str, str]] = field(default_factory=list)

    def apply(self, document: Document) -> Document:
        """Apply and return the resource as the API server holds it."""
        kind, name = document["kind"], document["metadata"]["name"]
        self.delete(kind, name)
        self.cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(document))
        self.made.append((kind, name))
        return self.get(kind, name)

    def get(self, kind: str, name: str) -> Document:
        """The resource now; its status is there, maybe empty."""
        return {"status": {}, **self.cluster.get(PLURALS[kind], name)}

    def pods(self, owner: Document, role: str, attempt: int | None = None) -> list[Document]:
        """The pods of a role that are not being deleted."""
        labels = f"deepcoder.dev/owner-uid={owner['metadata']['uid']},deepcoder.dev/role={role}"
        if attempt is not None:
            labels += f",deepcoder.dev/attempt={attempt}"
        return [
            pod
            for pod in self.cluster.items("pods", labels, NAMESPACE)
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] in ("Pending", "Running")
        ]

    def owned(self, owner: Document) -> list[str]:
        """Every object that carries the owner's uid, as kind/name."""
        selector = f"deepcoder.dev/owner-uid={owner['metadata']['uid']}"
        return [
            f"{kind}/{item['metadata']['name']}" for kind in OWNED_KINDS for item in self.cluster.items(kind, selector)
        ]

    def wait(
        self, resource: Document, what: str, condition: Callable[[Document], bool], seconds: float = PHASE_SECONDS
    ) -> Document:
        """Wait until `condition` of the resource holds; a Failed one ends the wait with its own message."""
        kind, name = resource["kind"], resource["metadata"]["name"]
        deadline = time.monotonic() + seconds
        while True:
            now = self.get(kind, name)
            if condition(now):
                return now
            status = now["status"]
            assert status.get("phase") != "Failed", (
                f"{name} failed while waiting for {what}: {json.dumps(status, indent=1)}"
            )
            if time.monotonic() > deadline:
                logs = self.logs(now)
                raise AssertionError(
                    f"{name}: {what}: not within {seconds:.0f} s: {json.dumps(status, indent=1)}\n{logs}"
                )
            time.sleep(1)

    def logs(self, owner: Document, lines: int = 12) -> str:
        """The last lines of every container of a resource's pods: what a wait that was too long is explained by."""
        labels = f"deepcoder.dev/owner-uid={owner['metadata']['uid']}"
        said = self.cluster.try_kubectl(
            *("-n", NAMESPACE, "logs", "-l", labels, "--all-containers", "--prefix", f"--tail={lines}"), seconds=60
        )
        return f"{said.stdout}{said.stderr}"

    def delete(self, kind: str, name: str) -> None:
        """Delete and wait until it is gone."""
        self.cluster.kubectl(
            "-n", NAMESPACE, "delete", PLURALS[kind], name, "--ignore-not-found", "--timeout=120s", seconds=130
        )

    def delete_all(self) -> None:
        """Delete everything that was applied."""
        for kind, name in self.made:
            self.delete(kind, name)


def phase(*wanted: str) -> Callable[[Document], bool]:
    """Whether a resource is in one of the phases."""
    return lambda resource: resource["status"].get("phase") in wanted


def condition(resource: Document, type: str) -> Document:
    """A condition of a resource; empty when it is not there."""
    return next((item for item in resource["status"].get("conditions", []) if item["type"] == type), {})


def kill(cluster: Cluster, pod: Document, namespace: str = NAMESPACE) -> None:
    """Take a pod away without a grace."""
    cluster.kubectl("-n", namespace, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")


def _changed(document: Document, name: str, parts: dict[str, Any]) -> Document:
    changed = deepcopy(document)
    changed["metadata"]["name"] = name
    for key, part in parts.items():
        before = changed["spec"].get(key)
        changed["spec"][key] = {**before, **part} if isinstance(part, dict) and isinstance(before, dict) else part
    return changed
