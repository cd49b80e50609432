"""The pods of every role: what each is allowed, and what none gets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.operator_builders import RUN_OWNER, evaluation_workloads, workloads

Document = dict[str, Any]


ALL = {**workloads(), **evaluation_workloads()}
SANDBOXES = ["sandbox", "evaluation sandbox"]
OTHERS = [name for name in ALL if name not in SANDBOXES]


def spec_of(document: Document) -> Document:
    """The pod spec."""
    return document["spec"]["template"]["spec"]


def containers_of(document: Document) -> list[Document]:
    """All containers, the ones before first."""
    spec = spec_of(document)
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment_of(container: Document) -> dict[str, Document]:
    """Environment by name; no name is there twice."""
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names))
    return {variable["name"]: variable for variable in container["env"]}


@pytest.mark.parametrize("name", ALL)
def test_every_pod_meets_the_restricted_pod_standard(name: str) -> None:
    """No root, no privilege to gain, no capability, the runtime's seccomp profile, only volumes that it allows."""
    spec = spec_of(ALL[name])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & spec.keys()
    for container in containers_of(ALL[name]):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "hostPort" not in str(container.get("ports"))
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"emptyDir", "configMap", "persistentVolumeClaim"}


@pytest.mark.parametrize("name", ALL)
def test_every_pod_has_a_read_only_root_and_no_access_to_the_api(name: str) -> None:
    """No token, an account without rights, no environment of Services; /tmp is the one place that all may write."""
    spec = spec_of(ALL[name])
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["serviceAccountName"] in ("tiny-tr-pods", "tiny-ev-pods", "tiny-tr-sandbox", "tiny-ev-sandbox")
    for container in containers_of(ALL[name]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"name": "temporary", "mountPath": "/tmp"} in container["volumeMounts"]


@pytest.mark.parametrize("name", ALL)
def test_containers_are_named_by_their_role_and_tell_how_they_end(name: str) -> None:
    """The operator reads their termination messages, or their last lines."""
    role = name.removeprefix("evaluation ")
    assert [container["name"] for container in spec_of(ALL[name])["containers"]] == [role]
    for container in containers_of(ALL[name]):
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["image"].startswith("registry/")
    assert spec_of(ALL[name])["imagePullSecrets"] == [{"name": "pull-secret"}]


@pytest.mark.parametrize("name", ALL)
def test_every_volume_that_is_mounted_is_there_once(name: str) -> None:
    """The API server refuses a mount without its volume, and two mounts at one path."""
    volumes = [volume["name"] for volume in spec_of(ALL[name])["volumes"]]
    assert len(volumes) == len(set(volumes))
    for container in containers_of(ALL[name]):
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert len(paths) == len(set(paths))
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)


@pytest.mark.parametrize("name", ALL)
def test_a_workload_selects_its_own_pods(name: str) -> None:
    """Labels of the pods name resource, role and attempt; a Deployment's selector is among them."""
    document = ALL[name]
    labels, role = document["spec"]["template"]["metadata"]["labels"], name.removeprefix("evaluation ")
    assert labels["deepcoder.dev/role"] == role
    assert labels["deepcoder.dev/owner-uid"] == RUN_OWNER.uid
    if document["kind"] == "Deployment":
        assert document["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert spec_of(document)["restartPolicy"] == "Always"
    else:
        assert labels["deepcoder.dev/attempt"] == document["metadata"]["labels"]["deepcoder.dev/attempt"]
        assert spec_of(document)["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", SANDBOXES)
def test_the_sandbox_gets_nothing_worth_stealing(name: str) -> None:
    """No Secret, no configuration, no address, no variable at all; an account of its own; gVisor's runtime class."""
    spec = spec_of(ALL[name])
    (container,) = containers_of(ALL[name])
    assert container["env"] == []
    assert "secret" not in str(spec["volumes"]).lower()
    assert "configMap" not in str(spec["volumes"])
    assert spec["serviceAccountName"].endswith("-sandbox")
    assert spec["runtimeClassName"] == "gvisor"
    assert "--require-isolation" in container["command"]


@pytest.mark.parametrize("name", SANDBOXES)
def test_what_the_sandbox_may_write_is_memory_of_a_bounded_size(name: str) -> None:
    """A program that fills a folder fills neither the node's disk nor its memory."""
    assert {volume["name"]: volume["emptyDir"] for volume in spec_of(ALL[name])["volumes"]} == {
        "temporary": {"medium": "Memory", "sizeLimit": "64Mi"},
        "scratch": {"medium": "Memory", "sizeLimit": "1Gi"},
    }


def test_a_cloud_identity_of_the_run_never_reaches_the_sandbox() -> None:
    """serviceAccountName is the role's it was given to."""
    account = {"pod": {"serviceAccountName": "with-s3-rights"}}
    accounts = {
        role: spec_of(document)["serviceAccountName"]
        for role, document in workloads(trainer=account, rollout=account).items()
    }
    assert accounts == {
        "preflight": "tiny-tr-pods",
        "prepare": "tiny-tr-pods",
        "trainer": "with-s3-rights",
        "rollout": "with-s3-rights",
        "sandbox": "tiny-tr-sandbox",
    }


@pytest.mark.parametrize("name", OTHERS)
def test_secrets_are_given_by_reference_only(name: str) -> None:
    """Keys of the storage's Secret as variables; no value stands in the pod."""
    document = ALL[name]
    references = {
        (variable["name"], variable["valueFrom"]["secretKeyRef"]["name"])
        for container in containers_of(document)
        for variable in container["env"]
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    assert references == {
        ("AWS_ACCESS_KEY_ID", "s3"),
        ("AWS_SECRET_ACCESS_KEY", "s3"),
        ("AWS_SESSION_TOKEN", "s3"),
    }
    assert "AWS" not in str([variable for c in containers_of(document) for variable in c["env"] if "value" in variable])


def test_only_the_session_token_may_be_missing() -> None:
    """A pod without its key does not start; one without a session token does."""
    variables = environment_of(containers_of(ALL["preflight"])[0])
    optional = {name: v["valueFrom"]["secretKeyRef"].get("optional", False) for name, v in variables.items()
                if name.startswith("AWS_")}  # fmt: skip
    assert optional == {"AWS_ACCESS_KEY_ID": False, "AWS_SECRET_ACCESS_KEY": False, "AWS_SESSION_TOKEN": True}


def test_a_token_for_the_model_goes_only_to_who_fetches_it() -> None:
    """The checks, and the container that downloads; neither the ranks nor vLLM."""
    jobs = workloads(model={"uri": "hf://org/gated", "secretName": "hf"})
    holders = {
        (role, container["name"])
        for role, document in jobs.items()
        for container in containers_of(document)
        if "HF_TOKEN" in environment_of(container)
    }
    assert holders == {("preflight", "preflight"), ("prepare", "prepare"), ("trainer", "model"), ("rollout", "model")}


def test_workload_identity_needs_no_secret() -> None:
    """Without secretName no pod refers to any Secret."""
    assert "secretKeyRef" not in str(workloads(storage={"secretName": None}))


def test_what_a_pod_is_told_is_merged_by_key() -> None:
    """The user's variable joins ours, but takes neither the pod's own address nor a key of the Secret."""
    pod = {"env": {"NCCL_DEBUG": "INFO", "POD_IP": "1.2.3.4", "AWS_ACCESS_KEY_ID": "mine"}}
    (container,) = spec_of(workloads(rollout={"pod": pod})["rollout"])["containers"]
    variables = environment_of(container)
    assert variables["NCCL_DEBUG"] == {"name": "NCCL_DEBUG", "value": "INFO"}
    assert variables["POD_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert "secretKeyRef" in variables["AWS_ACCESS_KEY_ID"]["valueFrom"]
    assert variables["DEEPCODER_CONFIG"]["value"] == "/etc/deepcoder/config.json"


def test_a_pod_goes_where_it_is_told() -> None:
    """Node selector, tolerations, priority, annotations, image and resources, as they stand in the spec."""
    pod = {
        "image": "mine/trainer:2",
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "research",
        "annotations": {"team": "rl"},
        "resources": {"requests": {"memory": "64Gi"}, "limits": {"memory": "128Gi"}},
    }
    template = workloads(trainer={"gpusPerReplica": 8, "pod": pod})["trainer"]["spec"]["template"]
    spec, (container,) = template["spec"], template["spec"]["containers"]
    assert container["image"] == "mine/trainer:2"
    assert container["resources"] == {
        "requests": {"memory": "64Gi"},
        "limits": {"memory": "128Gi", "nvidia.com/gpu": "8"},
    }
    assert spec["nodeSelector"] == {"gpu": "h100"}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["priorityClassName"] == "research"
    assert template["metadata"]["annotations"]["team"] == "rl"
    assert spec["initContainers"][0]["image"] == "registry/worker:1"


def test_trainers_are_not_to_be_moved() -> None:
    """Autoscalers leave their node alone: moving one costs an attempt."""
    annotations = ALL["trainer"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    assert "annotations" not in ALL["rollout"]["spec"]["template"]["metadata"]


@pytest.mark.parametrize("name", ["trainer", "rollout", "engine"])
def test_processes_of_a_model_share_memory(name: str) -> None:
    """/dev/shm is a memory folder: the runtime's own 64 MiB is too small for torch."""
    spec = spec_of(ALL[name])
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume.get("emptyDir") for volume in spec["volumes"]}
    assert volumes[mounts["/dev/shm"]] == {"medium": "Memory"}


@pytest.mark.parametrize("name", ["trainer", "rollout", "engine"])
def test_a_model_is_fetched_before_its_process_starts(name: str) -> None:
    """By a container of its own, into the folder that the process reads."""
    (before,) = spec_of(ALL[name])["initContainers"]
    assert before["name"] == "model"
    assert before["command"][-4:] == ["--uri", "s3://bucket/base", "--to", "/model"]
    for container in containers_of(ALL[name]):
        assert {"name": "model", "mountPath": "/model"} in container["volumeMounts"]


def test_a_model_cache_is_written_to_by_who_fetches_and_read_by_the_engine() -> None:
    """One claim for both containers of an engine's pod; nothing else mounts it."""
    given = evaluation_workloads(engine={"modelCache": {"claimName": "models"}})
    volumes = {one["name"]: one for one in given["engine"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["model-cache"]["persistentVolumeClaim"] == {"claimName": "models"}
    mounts = {
        container["name"]: mount.get("readOnly", False)
        for container in containers_of(given["engine"])
        for mount in container["volumeMounts"]
        if mount["name"] == "model-cache"
    }
    assert mounts == {"model": False, "engine": True}
    fetching = next(one for one in containers_of(given["engine"]) if one["name"] == "model")
    assert fetching["command"][-2:] == ["--cache", "/model-cache"]
    others = [name for name, document in given.items() if name != "engine" and "model-cache" in str(document)]
    assert others == []
    assert "model-cache" not in str(evaluation_workloads()["engine"])


def test_a_claim_is_mounted_read_only() -> None:
    """pvc://claim/path: the pods of a run never write to it."""
    for role in ("preflight", "trainer", "rollout"):
        document = workloads(model={"uri": "pvc://models/base"})[role]
        volumes = {volume["name"]: volume for volume in spec_of(document)["volumes"]}
        assert volumes["claim"]["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
        mounts = [m for c in containers_of(document) for m in c["volumeMounts"] if m["name"] == "claim"]
        assert mounts
        assert all(mount["readOnly"] for mount in mounts)


def test_the_configuration_is_mounted_where_it_is_read() -> None:
    """The frozen ConfigMap of this resource, read-only."""
    for name in OTHERS:
        document = ALL[name]
        volumes = {volume["name"]: volume for volume in spec_of(document)["volumes"]}
        assert volumes["config"]["configMap"] == {"name": document["metadata"]["name"][:8] + "config"}
        for container in containers_of(document):
            if "DEEPCODER_CONFIG" in environment_of(container):
                assert {"name": "config", "mountPath": "/etc/deepcoder", "readOnly": True} in container["volumeMounts"]


def test_probes_ask_ports_that_the_container_has() -> None:
    """By name; and answer within their own period."""
    for document in ALL.values():
        for container in containers_of(document):
            names = {port["name"] for port in container.get("ports", [])}
            for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
                if probe := container.get(kind):
                    assert probe["httpGet"]["port"] in names
                    assert 1 <= probe["timeoutSeconds"] <= probe["periodSeconds"]
