"""The chart installed on a real control plane: what the operator and users may then do, upgrade, uninstall."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from deepcoder_operator import run_objects
from deepcoder_operator.frozen import Frozen, Images, config_map
from deepcoder_operator.labels import Owner
from tests.control_plane import ControlPlane
from tests.integration.chart.helm_releases import CHART, NAMESPACE, RELEASE, Helm
from tests.resolved_runs import resolved_run
from tests.resource_documents import training_run

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
# How long the enforcement of owner references may not know a new kind: a 403 that the operator asks again after.
MAPPING_SECONDS = 60.0
CRD = RUNS = "trainingruns.deepcoder.dev"


@pytest.fixture(scope="module")
def installed(helm: Helm) -> ControlPlane:
    """A control plane with the chart in it, for the whole cluster."""
    notes = helm.install(RELEASE, NAMESPACE)
    assert f"kubectl -n {NAMESPACE} rollout status deployment/{RELEASE}" in notes
    helm.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/{CRD}", seconds=70)
    helm.plane.kubectl("create", "namespace", "team")
    return helm.plane


def may(plane: ControlPlane, verb: str, resource: str, *, namespace: str = "team", who: str = ACCOUNT) -> bool:
    """Whether an account may do something. `resource` is kind.group, kind.group/name or kind.group:subresource."""
    kind, _, subresource = resource.partition(":")
    part = (f"--subresource={subresource}",) if subresource else ()
    done = plane.try_kubectl("auth", "can-i", verb, kind, *part, "-n", namespace, "--as", who)
    return done.stdout.strip().splitlines()[-1] == "yes"


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("watch", RUNS),
        ("update", "evaluations.deepcoder.dev:status"),
        ("update", "trainingruns.deepcoder.dev:finalizers"),
        ("create", "jobs.batch"),
        ("patch", "deployments.apps"),
        ("get", "pods:log"),
        ("get", "runtimeclasses.node.k8s.io"),
        ("get", f"customresourcedefinitions.apiextensions.k8s.io/{CRD}"),
    ],
)
def test_what_the_operator_may_do(installed: ControlPlane, verb: str, resource: str) -> None:
    """Asked of the API server's own authorizer."""
    assert may(installed, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("create", "pods"),
        ("create", "pods:exec"),
        ("delete", "pods"),
        ("update", RUNS),
        ("delete", RUNS),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("create", "serviceaccounts:token"),
        ("get", "customresourcedefinitions.apiextensions.k8s.io/others.example.com"),
        ("list", "nodes"),
    ],
)
def test_what_the_operator_may_not_do(installed: ControlPlane, verb: str, resource: str) -> None:
    """No Secret, no pod of its own making, no spec, no right to give rights."""
    assert not may(installed, verb, resource)


@pytest.mark.parametrize(
    ("role", "verb", "allowed"),
    [("view", "list", True), ("view", "create", False), ("edit", "create", True), ("edit", "delete", True)],
)
def test_users_of_a_namespace(installed: ControlPlane, role: str, verb: str, allowed: bool) -> None:
    """Who may edit a namespace may edit its runs; who may view it may see them. A status is the operator's."""
    binding = f"{role}-{verb}"
    user = f"user-of-{binding}"
    installed.kubectl("-n", "team", "create", "rolebinding", binding, f"--clusterrole={role}", f"--user={user}")
    assert may(installed, verb, RUNS, who=user) is allowed
    assert not may(installed, "update", f"{RUNS}:status", who=user)


def test_the_operator_may_create_all_that_runs_are_made_of(installed: ControlPlane) -> None:
    """With its own rights and no others, where owner references are enforced: every object is taken as it is."""
    created = installed.kubectl("-n", "team", "create", "-o", "json", "-f", "-", text=json.dumps(training_run()))
    owner = Owner("TrainingRun", "team", "tiny", json.loads(created)["metadata"]["uid"])
    roles = ("worker", "trainer", "rollout", "sandbox")
    images = Images({role: f"registry.example/{role}:1" for role in roles}, "IfNotPresent", ())
    frozen = Frozen(resolved_run(), images)
    documents = [
        *run_objects.foundations(owner, frozen.resource, NAMESPACE),
        config_map(owner, frozen.resource, images),
        run_objects.preflight_job(owner, frozen, 1),
        run_objects.prepare_job(owner, frozen, 1),
        run_objects.sandbox_deployment(owner, frozen, 1),
        run_objects.rollout_deployment(owner, frozen, 1),
        *run_objects.attempt_services(owner, 1),
        run_objects.trainer_job(owner, frozen, 1, "s3://bucket/dataset"),
    ]
    kubeconfig = installed.service_account(NAMESPACE, RELEASE)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    deadline = time.monotonic() + MAPPING_SECONDS
    while True:
        done = installed.try_kubectl("create", "--dry-run=server", "-f", "-", text=text, kubeconfig=kubeconfig)
        if "cannot find RESTMapping" not in done.stderr or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("created") == len(documents)


def test_upgrade_brings_new_fields_and_uninstall_keeps_everything(helm: Helm, tmp_path: Path) -> None:
    """The definitions are upgraded with the chart, and neither they nor the runs go with it."""
    older = tmp_path / "chart"
    shutil.copytree(CHART, older)
    file = older / "files" / "crds" / "trainingruns.yaml"
    text = file.read_text()
    assert text.count("- dctr\n") == 1
    file.write_text(text.replace("- dctr\n", "- olddctr\n"))
    names = ("get", "crd", CRD, "-o", "jsonpath={.spec.names.shortNames[0]} {.metadata.uid}")

    helm.install(RELEASE, NAMESPACE, chart=older)
    before, uid = helm.plane.kubectl(*names).split()
    helm.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/{CRD}", seconds=70)
    helm.plane.kubectl("-n", "default", "create", "-f", "-", text=json.dumps(training_run("lasting")))
    helm.install(RELEASE, NAMESPACE)
    assert (before, helm.plane.kubectl(*names)) == ("olddctr", f"dctr {uid}")

    helm.run("uninstall", RELEASE, "-n", NAMESPACE)
    assert helm.plane.kubectl(*names) == f"dctr {uid}"
    assert "lasting" in helm.plane.kubectl("-n", "default", "get", "trainingruns", "-o", "name")
    assert helm.plane.kubectl("-n", NAMESPACE, "get", "deployments", "-o", "name") == ""


def test_two_releases_share_a_cluster(helm: Helm) -> None:
    """Each for its own namespaces; the first takes over the definitions that were left, the second brings none."""
    for namespace in ("one", "two"):
        helm.plane.kubectl("create", "namespace", namespace)
    helm.install("op", "system-one", "--take-ownership", "--set", "namespaces={one}")
    alone = ("--set", "crds.install=false", "--set", "runtimeClass.create=false")
    helm.install("op", "system-two", "--set", "namespaces={two}", *alone)
    account = "system:serviceaccount:system-two:op-deepcoder-operator"
    assert may(helm.plane, "create", "jobs.batch", namespace="two", who=account)
    assert not may(helm.plane, "create", "jobs.batch", namespace="one", who=account)
    assert may(helm.plane, "get", "runtimeclasses.node.k8s.io", namespace="two", who=account)
