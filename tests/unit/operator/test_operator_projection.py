"""From bodies as the API server gives them to what is kept of them."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_operator.observed import ContainerEnd, ContainerWait, DeploymentSeen, JobSeen, Named
from deepcoder_operator.projection import (
    controller_uid,
    items,
    owner_uid,
    parse_time,
    part,
    see_deployment,
    see_job,
    see_named,
    see_pod,
    terminating,
)
from tests.operator_builders import RUN_OWNER, UID, merged

LABELS = {
    "app.kubernetes.io/managed-by": "deepcoder-operator",
    "deepcoder.dev/owner-kind": "TrainingRun",
    "deepcoder.dev/owner-uid": UID,
    "deepcoder.dev/role": "trainer",
    "deepcoder.dev/attempt": "2",
}


def job_body(*conditions: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A Job as the API server gives it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "tiny-tr-trainer-2",
            "uid": "job-uid",
            "labels": LABELS,
            "ownerReferences": [RUN_OWNER.reference()],
            **metadata,
        },
        "spec": {"backoffLimit": 0},
        "status": {"conditions": list(conditions), "failed": 1, "ready": 0},
    }


def condition(type: str, status: str = "True", **parts: str) -> dict[str, Any]:
    return {"type": type, "status": status, "lastTransitionTime": "2026-03-01T12:00:00Z", **parts}


POD: dict[str, Any] = {
    "metadata": {
        "name": "tiny-tr-trainer-2-1-abcde",
        "uid": "pod-uid",
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "labels": {**LABELS, "batch.kubernetes.io/job-completion-index": "1", "job-name": "tiny-tr-trainer-2"},
        "ownerReferences": [{"kind": "Job", "name": "tiny-tr-trainer-2", "uid": "job-uid", "controller": True}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "conditions": [
            condition("PodReadyToStartContainers"),
            condition("Initialized"),
            condition("Ready"),
            condition("ContainersReady"),
            {**condition("PodScheduled"), "lastTransitionTime": "2026-03-01T12:00:07Z"},
        ],
        "initContainerStatuses": [
            {
                "name": "model",
                "state": {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-03-01T12:00:20Z"}},
            }
        ],
        "containerStatuses": [
            {"name": "trainer", "state": {"running": {"startedAt": "2026-03-01T12:00:21Z"}}, "lastState": {}}
        ],
    },
}


def pod_with(status: dict[str, Any]) -> dict[str, Any]:
    return merged(POD, {"status": status})


def container(state: dict[str, Any], last: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [{"name": "trainer", "state": state, "lastState": last or {}}]


def test_a_running_pod() -> None:
    """Role, attempt and index by its labels; address, node and readiness by its status."""
    pod = see_pod(POD)
    assert (pod.name, pod.uid, pod.role, pod.attempt, pod.index) == (
        "tiny-tr-trainer-2-1-abcde", "pod-uid", "trainer", 2, 1,
    )  # fmt: skip
    assert (pod.phase, pod.ready, pod.address, pod.terminating) == ("Running", True, "10.1.2.3", False)
    assert pod.created_at == parse_time("2026-03-01T12:00:00Z")
    assert pod.scheduled_at == parse_time("2026-03-01T12:00:07Z")
    assert pod.waits == ()
    assert pod.ends == (ContainerEnd("model", 0, "Completed", "", parse_time("2026-03-01T12:00:20Z")),)


def test_a_pod_that_was_just_made() -> None:
    """No status yet: pending, nowhere."""
    pod = see_pod({"metadata": {"name": "a", "uid": "b"}})
    assert (pod.phase, pod.ready, pod.address, pod.role, pod.attempt) == ("Pending", False, "", "", 0)
    assert (pod.created_at, pod.scheduled_at, pod.unschedulable, pod.disrupted) == (None, None, "", "")


@pytest.mark.parametrize(("phase", "ready", "bare"), [
    ("Pending", "False", True), ("Pending", "True", False), ("Running", "False", False), ("Failed", "False", False),
])  # fmt: skip
def test_a_pod_that_its_node_does_not_start(phase: str, ready: str, bare: bool) -> None:
    """Since when; at its end it is bare again, which says nothing."""
    started = condition("PodReadyToStartContainers", ready)
    since = see_pod(pod_with({"phase": phase, "conditions": [condition("PodScheduled"), started]})).bare_since
    assert since == (parse_time("2026-03-01T12:00:00Z") if bare else None)


def test_a_pod_that_finds_no_node() -> None:
    """The scheduler's words."""
    scheduled = condition("PodScheduled", "False", reason="Unschedulable", message="0/1 nodes are available.")
    pod = see_pod(pod_with({"phase": "Pending", "conditions": [scheduled]}))
    assert (pod.unschedulable, pod.scheduled_at) == ("0/1 nodes are available.", None)


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_pod_that_is_on_its_way_waits_for_nothing(reason: str) -> None:
    """These reasons say nothing."""
    assert see_pod(pod_with({"containerStatuses": container({"waiting": {"reason": reason}})})).waits == ()


def test_a_container_that_cannot_start_says_why() -> None:
    """Reason and message of the kubelet."""
    state = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'}}
    pod = see_pod(pod_with({"containerStatuses": container(state)}))
    assert pod.waits == (ContainerWait("trainer", "CreateContainerConfigError", 'secret "s3" not found'),)


def test_a_container_that_ended_says_how() -> None:
    """Exit code, reason, termination message, time."""
    state = {
        "terminated": {
            "exitCode": 64, "reason": "Error", "message": '{"outcome":"permanent"}',
            "finishedAt": "2026-03-01T12:01:00Z",
        }
    }  # fmt: skip
    pod = see_pod(pod_with({"phase": "Failed", "containerStatuses": container(state)}))
    assert pod.ends[-1] == ContainerEnd(
        "trainer", 64, "Error", '{"outcome":"permanent"}', parse_time("2026-03-01T12:01:00Z")
    )


def test_a_container_that_crashes_again_and_again_shows_its_last_end() -> None:
    """It waits now, and what it said at its end is kept beside."""
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    pod = see_pod(pod_with({"containerStatuses": container(waiting, {"terminated": {"exitCode": 64}})}))
    assert pod.waits[0].reason == "CrashLoopBackOff"
    assert (pod.ends[-1].container, pod.ends[-1].exit_code) == ("trainer", 64)


@pytest.mark.parametrize(
    ("status", "disrupted"),
    [
        ({}, ""),
        (
            {
                "conditions": [
                    condition("DisruptionTarget", reason="PreemptionByScheduler", message="default: preempting")
                ]
            },
            "default: preempting",
        ),
        ({"conditions": [condition("DisruptionTarget", reason="DeletionByPodGC")]}, "DeletionByPodGC"),
        ({"conditions": [condition("DisruptionTarget", "False", reason="EvictionByEvictionAPI")]}, ""),
        (
            {"reason": "Evicted", "message": "The node was low on resource: memory. Threshold quantity: 100Mi"},
            "The node was low on resource: memory. Threshold quantity: 100Mi",
        ),
        ({"reason": "NodeShutdown"}, "NodeShutdown"),
        ({"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."},
         "Pod was terminated in response to imminent node shutdown."),
        ({"reason": "OutOfcpu", "message": "Pod was rejected: Node didn't have enough resource: cpu"},
         "Pod was rejected: Node didn't have enough resource: cpu"),
        ({"reason": "DeadlineExceeded", "message": "Pod was active on the node longer"}, ""),
    ],
)  # fmt: skip
def test_what_the_cluster_did_to_a_pod(status: dict[str, Any], disrupted: str) -> None:
    """Preemption, drain, node pressure, a lost node: nobody's fault."""
    assert see_pod(pod_with(status)).disrupted == disrupted


@pytest.mark.parametrize(
    "message",
    [
        'Usage of EmptyDir volume "work" exceeds the limit "1Gi". ',
        'Container trainer exceeded its local ephemeral storage limit "10Gi". ',
        "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
    ],
)
def test_what_a_pod_did_itself(message: str) -> None:
    """Evicted for what it wrote: its own doing, so another try costs."""
    pod = see_pod(pod_with({"phase": "Failed", "reason": "Evicted", "message": message}))
    assert (pod.disrupted, pod.evicted) == ("", message)


@pytest.mark.parametrize(
    ("conditions", "complete", "failed", "reason"),
    [
        ([], False, False, ""),
        ([condition("Suspended", "False")], False, False, ""),
        # Pods are still ending: the Job has not ended yet.
        ([condition("SuccessCriteriaMet")], False, False, ""),
        ([condition("FailureTarget", reason="BackoffLimitExceeded")], False, False, ""),
        ([condition("SuccessCriteriaMet"), condition("Complete", reason="CompletionsReached")], True, False,
         "CompletionsReached"),
        ([condition("FailureTarget"), condition("Failed", reason="BackoffLimitExceeded", message="too often")], False,
         True, "BackoffLimitExceeded"),
    ],
)  # fmt: skip
def test_a_job_ends_when_its_last_pod_has(
    conditions: list[dict[str, Any]], complete: bool, failed: bool, reason: str
) -> None:
    """By its final conditions."""
    job = see_job(job_body(*conditions))
    assert (job.complete, job.failed, job.reason) == (complete, failed, reason)
    assert job.ended_at == (parse_time("2026-03-01T12:00:00Z") if complete or failed else None)


def test_a_job_is_known_by_its_labels() -> None:
    """Role and number."""
    assert see_job(job_body()) == JobSeen("tiny-tr-trainer-2", "job-uid", "trainer", 2)
    assert see_job(job_body(deletionTimestamp="2026-03-01T12:00:00Z")).terminating


def test_a_deployment_shows_what_is_wanted_and_what_is_there() -> None:
    """Absent figures are none."""
    body = {
        "metadata": {"name": "tiny-tr-rollout", "uid": "d", "labels": {**LABELS, "deepcoder.dev/role": "rollout"}},
        "spec": {"replicas": 3},
        "status": {"replicas": 2, "readyReplicas": 1},
    }
    assert see_deployment(body) == DeploymentSeen("tiny-tr-rollout", "d", "rollout", 3, ready=1, there=2)
    new = see_deployment({**body, "status": {}})
    assert (new.ready, new.there) == (0, 0)
    assert see_deployment({**body, "spec": {"replicas": 0}}).replicas == 0


def test_a_service_shows_which_attempt_it_selects() -> None:
    """Others select none."""
    metadata = {"name": "tiny-tr-orchestrator", "uid": "s"}
    turned = {"metadata": metadata, "spec": {"selector": RUN_OWNER.selector("trainer", 3)}}
    assert see_named("Service", turned) == Named("Service", "tiny-tr-orchestrator", "s", attempt=3)
    plain = {"metadata": metadata, "spec": {"selector": RUN_OWNER.selector("sandbox")}}
    assert see_named("Service", plain).attempt == 0
    assert see_named("ConfigMap", {"metadata": metadata}).attempt == 0


def test_whose_an_object_is() -> None:
    """The resource by its label, also of a pod's; the controller by its reference."""
    assert owner_uid(POD) == UID
    assert controller_uid(POD) == "job-uid"
    assert controller_uid(job_body()) == UID
    assert owner_uid({"metadata": {}}) == controller_uid({"metadata": {}}) == ""
    assert controller_uid({"metadata": {"ownerReferences": [{"uid": "x"}]}}) == ""
    assert terminating({"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}})
    assert not terminating(POD)


def test_absent_parts_are_empty() -> None:
    """The API server leaves out what is empty, and may write null."""
    assert part({}, "a", "b") == part({"a": None}, "a", "b") == part({"a": {"b": 1}}, "a", "b") == {}
    assert part({"a": {"b": {"c": 1}}}, "a", "b") == {"c": 1}
    assert items({}, "a") == items({"a": None}, "a") == []


@pytest.mark.parametrize("text", ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000000Z", "2026-03-01T13:00:00+01:00"])
def test_times_are_of_one_zone(text: str) -> None:
    """As metav1.Time and metav1.MicroTime write them."""
    moment = parse_time(text)
    assert moment == parse_time("2026-03-01T12:00:00Z")
    assert parse_time(None) is parse_time("") is None
