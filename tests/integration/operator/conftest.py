"""One operator process on the real control plane for the tests of this folder, with its real rights and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control_plane import ControlPlane
from tests.integration.operator.cluster_hand import Hand, hand_in
from tests.integration.operator.operator_process import OperatorProcess, cluster_role

NAMESPACE = "deepcoder-system"
NAME = "deepcoder-operator"


@pytest.fixture(scope="session")
def operator_account(control_plane: ControlPlane) -> Path:
    """The kubeconfig of the operator's ServiceAccount. A RuntimeClass gvisor is there too."""
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}},
        cluster_role(NAME),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "subjects": [subject],
            "roleRef": role,
        },
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "gvisor"},
            "handler": "runsc",
        },
    ]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    control_plane.kubectl("apply", "-f", "-", text=document)
    return control_plane.service_account(NAMESPACE, NAME)


@pytest.fixture(scope="session")
def operator(operator_account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator, running."""
    process = OperatorProcess(operator_account, tmp_path_factory.mktemp("operator") / "operator.log")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def narrow_account(control_plane: ControlPlane, operator_account: Path, namespace: str) -> Path:
    """The kubeconfig of a ServiceAccount that has the operator's rights in one namespace, and little beside it."""
    name = f"narrow-{namespace}"
    control_plane.kubectl("-n", namespace, "create", "serviceaccount", name)
    account = f"--serviceaccount={namespace}:{name}"
    control_plane.kubectl("-n", namespace, "create", "rolebinding", name, f"--clusterrole={NAME}", account)
    role = json.dumps(cluster_role(name, cluster_scoped_only=True))
    control_plane.kubectl("apply", "-f", "-", text=role)
    control_plane.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
    return control_plane.service_account(namespace, name)


@pytest.fixture
def hand(control_plane: ControlPlane, operator: OperatorProcess, namespace: str) -> Hand:
    """The test's hand in a namespace of its own, which the operator watches."""
    return hand_in(control_plane.kubeconfig, namespace)
