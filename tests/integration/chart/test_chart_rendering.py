"""What the chart renders to, in both modes, and which values it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deepcoder_operator.settings import read_settings
from tests.control_plane import ROOT
from tests.integration.chart.helm_releases import CHART, IMAGES, NAMESPACE, RELEASE, Document, Helm, of_kind

DECISION = ROOT / "docs" / "decisions" / "0001-operator-permissions.md"
MODES = {"cluster": (), "namespaced": ("--set", "namespaces={team-a,team-b}")}
EACH_MODE = pytest.mark.parametrize("values", MODES.values(), ids=MODES.keys())

Permission = tuple[str, str, str]


def permissions(rules: list[Document]) -> set[Permission]:
    """Each single thing that rules allow: group, resource (with its name where there is one) and verb."""
    return {
        (group, f"{resource}/{name}" if name else resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def decided() -> Iterator[Permission]:
    """The same, from the table of the decision."""
    rows = [line.strip("| ").split(" | ") for line in DECISION.read_text().splitlines() if line.startswith("| ")]
    for groups, resources, verbs, *_ in rows[2:]:
        kinds, _, named = resources.partition(", resourceNames ")
        names = re.split(r", | and ", named) if named else [""]
        for group in groups.replace('""', "").split(", "):
            for resource in kinds.split(", "):
                for name in names:
                    for verb in verbs.split(", "):
                        yield group.strip(), f"{resource}/{name}" if name else resource, verb


def operators(documents: list[Document]) -> list[Document]:
    """The roles that the operator's account is bound to."""
    bindings = of_kind(documents, "RoleBinding", "ClusterRoleBinding")
    assert {subject["name"] for binding in bindings for subject in binding["subjects"]} == {RELEASE}
    bound = {(binding["roleRef"]["kind"], binding["roleRef"]["name"]) for binding in bindings}
    return [
        role for role in of_kind(documents, "Role", "ClusterRole") if (role["kind"], role["metadata"]["name"]) in bound
    ]


@EACH_MODE
def test_lint(helm: Helm, values: tuple[str, ...]) -> None:
    """No warning and no error."""
    text = helm.run("lint", "--strict", str(CHART), *IMAGES, *values)
    assert "0 chart(s) failed" in text
    assert "[WARNING]" not in text


@EACH_MODE
def test_a_real_api_server_takes_it(helm: Helm, values: tuple[str, ...]) -> None:
    """Every document, by strict server-side apply."""
    for namespace in (NAMESPACE, "team-a", "team-b"):
        helm.plane.try_kubectl("create", "namespace", namespace)
    text = yaml.safe_dump_all(helm.template(*values))
    applied = helm.plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", text=text
    )
    assert applied.count("serverside-applied") == len(helm.template(*values))


@EACH_MODE
def test_the_operator_may_do_what_was_decided(helm: Helm, values: tuple[str, ...]) -> None:
    """The rules of both modes together are the decision's table, no more and no less."""
    for_cluster, for_namespaces = operators(helm.template()), operators(helm.template(*values))
    every = {permission for role in for_namespaces for permission in permissions(role["rules"])}
    assert every == set(decided())
    assert every == {permission for role in for_cluster for permission in permissions(role["rules"])}


@EACH_MODE
def test_no_wildcard_and_no_secret(helm: Helm, values: tuple[str, ...]) -> None:
    """In no role of the chart, the users' included."""
    allowed = [
        permission
        for role in of_kind(helm.template(*values), "Role", "ClusterRole")
        for permission in permissions(role["rules"])
    ]
    assert allowed
    assert [permission for permission in allowed if "*" in permission or permission[1].startswith("secrets")] == []


def test_with_namespaces_the_rights_end_there(helm: Helm) -> None:
    """A Role in each; of the cluster only what is cluster-scoped is read."""
    roles = operators(helm.template(*MODES["namespaced"]))
    assert sorted(role["metadata"].get("namespace", "") for role in roles) == ["", "team-a", "team-b"]
    (cluster,) = of_kind(roles, "ClusterRole")
    assert {resource.partition("/")[0] for _, resource, _ in permissions(cluster["rules"])} == {
        "runtimeclasses",
        "customresourcedefinitions",
    }


def container(documents: list[Document]) -> Document:
    """The operator's container."""
    (deployment,) = of_kind(documents, "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return found


@EACH_MODE
def test_the_operator_reads_its_settings(helm: Helm, values: tuple[str, ...]) -> None:
    """The environment is what the operator's own reader takes, images and namespaces in their places."""
    given = container(helm.template(*values, "--set", "imagePullSecrets[0].name=key,workers=3,port=9000"))
    environment = {variable["name"]: variable.get("value", NAMESPACE) for variable in given["env"]}
    settings = read_settings(environment)
    assert settings.images == {
        role: f"registry.example/{role}:1" for role in ("worker", "trainer", "rollout", "sandbox")
    }
    assert settings.pull_secrets == ("key",)
    assert settings.namespaces == (("team-a", "team-b") if values else ())
    assert (settings.own_namespace, settings.port, settings.workers) == (NAMESPACE, 9000, 3)


def test_engines_images_are_passed_on(helm: Helm) -> None:
    """Those that are given, to the operator's own reader; the others are not said."""
    values = ("--set-string", "images.engines.sglang=them/sglang:1,images.engines.tensorrt-llm=them/trt:2")
    environment = {one["name"]: one.get("value", NAMESPACE) for one in container(helm.template(*values))["env"]}
    images = read_settings(environment).images
    assert {role: image for role, image in images.items() if role.startswith("engine-")} == {
        "engine-sglang": "them/sglang:1", "engine-tensorrt-llm": "them/trt:2",
    }  # fmt: skip


def test_the_operators_pod(helm: Helm) -> None:
    """One, never two at once, restricted, with the label that network policies let in."""
    (deployment,) = of_kind(helm.template(), "Deployment")
    spec = deployment["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == "deepcoder-operator"
    assert container([deployment])["resources"] == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"memory": "512Mi"},
    }


def test_the_pod_is_restricted(helm: Helm) -> None:
    """A namespace that enforces the restricted standard takes the operator's pod."""
    (deployment,) = of_kind(helm.template(), "Deployment")
    helm.plane.kubectl("create", "namespace", "strict")
    helm.plane.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
    helm.plane.kubectl("-n", "strict", "create", "serviceaccount", RELEASE)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": "strict"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    taken = helm.plane.kubectl("create", "--dry-run=server", "-f", "-", text=yaml.safe_dump(pod))
    assert "pod/operator created" in taken


@pytest.mark.parametrize(
    ("values", "absent"),
    [
        (("--set", "crds.install=false"), "CustomResourceDefinition"),
        (("--set", "runtimeClass.create=false"), "RuntimeClass"),
    ],
)
def test_what_others_may_own_can_be_left_out(helm: Helm, values: tuple[str, ...], absent: str) -> None:
    """Definitions and the RuntimeClass, by a value each."""
    assert of_kind(helm.template(), absent)
    assert not of_kind(helm.template(*values), absent)


def test_users_may_be_left_alone(helm: Helm) -> None:
    """Without aggregation only the operator's own ClusterRole is there."""
    assert len(of_kind(helm.template(), "ClusterRole")) == 3
    assert len(of_kind(helm.template("--set", "rbac.aggregate=false"), "ClusterRole")) == 1


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--set-string", "images.trainer="), "images.trainer is not set: no image is published, `make images` builds"),
    (("--set", "images.trianer=x"), "additional properties 'trianer' not allowed"),
    (("--set", "images.engines.llamacpp=x"), "additional properties 'llamacpp' not allowed"),
    (("--set", "replicas=2"), "additional properties 'replicas' not allowed"),
    (("--set", "imagePullPolicy=Sometimes"), "imagePullPolicy"),
    (("--set", "port=80"), "port"),
    (("--set", "namespaces=team-a"), "namespaces"),
    (("--set", "namespaces={Team}"), "namespaces"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=[values[1] for values, _ in REFUSED])
def test_a_wrong_value_is_refused(helm: Helm, values: tuple[str, ...], words: str) -> None:
    """helm names the value, before anything is applied."""
    done = helm.try_run("template", RELEASE, str(CHART), *IMAGES, *values)
    assert done.returncode != 0
    assert words in done.stderr


def test_every_value_is_described_and_in_the_schema() -> None:
    """A comment before each value, and the schema knows the same names."""
    text = (CHART / "values.yaml").read_text()
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.match(r" *[a-zA-Z]+:", line) and not re.match(r" *(requests|limits|cpu|memory):", line):
            inner = line.startswith(" ")
            opens = number > 0 and lines[number - 1].strip().startswith("#")
            assert opens or (not inner and lines[number + 1].strip().startswith("#")), line
    schema: Any = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load(text)
    assert set(schema["properties"]) - {"global"} == set(values)
    for name, value in values.items():
        if isinstance(value, dict) and "properties" in schema["properties"][name]:
            assert set(schema["properties"][name]["properties"]) == set(value), name
