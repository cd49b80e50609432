"""The objects around pods: Jobs, Deployments, Services, accounts, budgets and network policies. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepcoder_operator.labels import OWNER_UID, ROLE, Owner

Document = dict[str, Any]

COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"


def metadata(owner: Owner, part: str, role: str = "", attempt: int | None = None) -> Document:
    """Name, labels and owner of the child `part`."""
    return {
        "name": owner.child(part),
        "namespace": owner.namespace,
        "labels": owner.labels(role, attempt),
        "ownerReferences": [owner.reference()],
    }


def job(owner: Owner, part: str, role: str, attempt: int, template: Document, *, pods: int = 1) -> Document:
    """A Job whose first failed pod ends it: what follows a failure is the operator's to decide, from its cause."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(owner, part, role, attempt),
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            "backoffLimit": 0,
            "template": template,
        },
    }


def deployment(owner: Owner, role: str, replicas: int, template: Document, *, surge: bool) -> Document:
    """A Deployment named by its role. `surge` False never holds more pods than `replicas`, as GPUs demand."""
    strategy: Document = {"type": "RollingUpdate"}
    if not surge:
        strategy["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, role, role),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "strategy": strategy,
            "selector": {"matchLabels": owner.selector(role)},
            "template": template,
        },
    }


def service(owner: Owner, part: str, role: str, ports: Mapping[str, int], *, headless: bool = False) -> Document:
    """A Service before the ready pods of a role; `headless`: its name stands for their addresses."""
    spec: Document = {"selector": owner.selector(role), "ports": _service_ports(ports)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, part, role),
        "spec": {"clusterIP": "None", **spec} if headless else spec,
    }


def attempt_service(owner: Owner, attempt: int, ports: Mapping[str, int]) -> Document:
    """The headless Service that gives the trainer pods of an attempt their names, ready or not."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, f"trainer-{attempt}", "trainer", attempt),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": owner.selector("trainer", attempt),
            "ports": _service_ports(ports),
        },
    }


def orchestrator_service(owner: Owner, selector: Mapping[str, str], ports: Mapping[str, int]) -> Document:
    """The Service that rollout servers report to: pod 0 of the attempt, or before the first the pod that prepares."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, "orchestrator", "trainer"),
        "spec": {
            "publishNotReadyAddresses": True,
            "selector": dict(selector),
            "ports": _service_ports(ports),
        },
    }


def orchestrator_selector(owner: Owner, attempt: int) -> dict[str, str]:
    """Labels of the pod that holds the orchestrator of an attempt."""
    return {**owner.selector("trainer", attempt), COMPLETION_INDEX: "0"}


def service_account(owner: Owner, part: str) -> Document:
    """An account without any right and without a token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(owner, part),
        "automountServiceAccountToken": False,
    }


def disruption_budget(owner: Owner, role: str) -> Document:
    """At most one pod of a role is taken away at a time by who asks first."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(owner, role, role),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": owner.selector(role)}},
    }


def from_roles(owner: Owner, *roles: str) -> Document:
    """A peer: this resource's own pods of the roles."""
    return {
        "podSelector": {
            "matchLabels": {OWNER_UID: owner.uid},
            "matchExpressions": [{"key": ROLE, "operator": "In", "values": list(roles)}],
        }
    }


def from_operator(operator_namespace: str) -> Document:
    """A peer: the operator, which asks for progress."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "deepcoder-operator"}},
    }


def network_policy(owner: Owner, role: str, ingress: Sequence[Document], *, egress: bool) -> Document:
    """Who may reach the pods of a role; `egress` False means that they may reach nobody."""
    spec: Document = {
        "podSelector": {"matchLabels": owner.selector(role)},
        "policyTypes": ["Ingress"] if egress else ["Ingress", "Egress"],
        "ingress": list(ingress),
    }
    if not egress:
        spec["egress"] = []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(owner, role, role),
        "spec": spec,
    }


FROM_NAMESPACE: Document = {"podSelector": {}}
"""Every pod of the namespace."""


def ingress_rule(peers: Sequence[Document], *ports: int) -> Document:
    """From these peers to these TCP ports; no port means all."""
    rule: Document = {"from": list(peers)}
    return {**rule, "ports": [{"protocol": "TCP", "port": port} for port in ports]} if ports else rule


def _service_ports(ports: Mapping[str, int]) -> list[Document]:
    return [{"name": name, "port": port, "targetPort": port} for name, port in ports.items()]
