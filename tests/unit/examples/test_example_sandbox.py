"""examples/sandbox: grading servers on their own are confined exactly as those that the operator makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deepcoder_operator import objects
from tests.operator_builders import RUN_OWNER, workloads

Document = dict[str, Any]
FILE = Path(__file__).resolve().parents[3] / "examples" / "sandbox" / "sandbox.yaml"
DOCUMENTS: dict[str, Document] = {one["kind"]: one for one in yaml.safe_load_all(FILE.read_text())}
# What is the cluster's or the name's, and not the confinement's.
OWN = {"image", "serviceAccountName", "imagePullSecrets"}


def pod(deployment: Document) -> Document:
    """The pod's spec without what differs from one place to another."""
    spec = deployment["spec"]["template"]["spec"]
    containers = [{key: value for key, value in one.items() if key not in OWN} for one in spec["containers"]]
    return {**{key: value for key, value in spec.items() if key not in OWN}, "containers": containers}


def test_pod_is_the_operators() -> None:
    """Security, command, volumes, probes, resources, grace: every field of it."""
    assert pod(DOCUMENTS["Deployment"]) == pod(workloads()["sandbox"])


def test_nobody_is_reached_from_it() -> None:
    """As in the operator's policy; who may ask is told by labels of namespace and pod together."""
    rendered = objects.network_policy(RUN_OWNER, "sandbox", [objects.ingress_rule([], 8000)], egress=False)
    policy = DOCUMENTS["NetworkPolicy"]["spec"]
    assert (policy["policyTypes"], policy["egress"]) == (rendered["spec"]["policyTypes"], rendered["spec"]["egress"])
    (rule,) = policy["ingress"]
    assert rule["ports"] == rendered["spec"]["ingress"][0]["ports"]
    assert [set(peer) for peer in rule["from"]] == [{"namespaceSelector", "podSelector"}]


@pytest.mark.parametrize("kind", ["Service", "NetworkPolicy", "PodDisruptionBudget"])
def test_each_object_selects_the_pods(kind: str) -> None:
    """By the labels that the Deployment gives them, in its namespace."""
    labels = DOCUMENTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    spec = DOCUMENTS[kind]["spec"]
    selector = spec["selector"] if kind == "Service" else (spec.get("selector") or spec["podSelector"])["matchLabels"]
    assert selector.items() <= labels.items()
    assert DOCUMENTS[kind]["metadata"]["namespace"] == DOCUMENTS["Namespace"]["metadata"]["name"]


def test_service_gives_the_pods_own_addresses() -> None:
    """Headless, so that a client can spread over them; ready ones alone, as isolation gates readiness."""
    service = DOCUMENTS["Service"]["spec"]
    assert service["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in service


def test_token_and_pod_standard() -> None:
    """Neither the account nor the pod mounts a token; the namespace refuses pods that are less confined."""
    assert DOCUMENTS["ServiceAccount"]["automountServiceAccountToken"] is False
    assert DOCUMENTS["Namespace"]["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
