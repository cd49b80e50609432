"""What stands in a run's way is said in its conditions, and no pod of trainer or rollout starts."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.control_plane import ControlPlane
from tests.integration.operator.cluster_hand import Hand, eventually
from tests.operator_builders import run_spec


def test_a_foreign_object_of_a_needed_name_is_a_name_conflict_until_it_is_gone(hand: Hand) -> None:
    """The run says which object is in its way and touches it not; once it is deleted, the run goes on."""
    hand.create("ConfigMap", "tiny-tr-config", data={"mine": "yes"})
    hand.create("TrainingRun", "tiny", spec=run_spec())
    message = hand.condition("TrainingRun", "tiny", "Ready", "False", "NameConflict")["message"]
    assert "ConfigMap tiny-tr-config is needed and is there already, but is not this operator's" in message
    assert hand.status("TrainingRun", "tiny")["phase"] == "Pending"
    assert hand.get("Job", "tiny-tr-preflight-1") is None
    assert (hand.get("ConfigMap", "tiny-tr-config") or {})["data"] == {"mine": "yes"}
    eventually("Event of the conflict", lambda: ("NameConflict", message) in hand.events("tiny"))

    hand.delete("ConfigMap", "tiny-tr-config")
    # It looks again by itself every half a minute; a change of the spec makes it look at once.
    hand.call(
        "PATCH",
        f"/apis/deepcoder.dev/v1alpha1/namespaces/{hand.namespace}/trainingruns/tiny",
        {"spec": {"failurePolicy": {"maxRestarts": 3}}},
    )
    hand.condition("TrainingRun", "tiny", "Ready", "False", "Pending")
    hand.pod("tiny", "preflight")


def test_values_that_do_not_fit_each_other_fail_the_run_and_name_the_field(hand: Hand) -> None:
    """What only the operator can check ends the run with the field's path before anything is made."""
    uid = hand.create("TrainingRun", "tiny", spec=run_spec(algorithm={"optimizerStepsPerStep": 3}))["metadata"]["uid"]
    status = hand.phase("TrainingRun", "tiny", "Failed")
    expected = "spec.algorithm.optimizerStepsPerStep: 3 does not divide promptsPerStep (4)"
    assert (status["message"], status["failure"]["cause"]) == (expected, expected)
    assert hand.condition("TrainingRun", "tiny", "Failed", "True", "InvalidSpec")["message"] == expected
    assert hand.owned(uid) == {}


def test_a_preflight_that_fails_for_good_ends_the_run_with_its_cause(hand: Hand) -> None:
    """What the preflight says is what the user reads, and nothing expensive was started."""
    uid = hand.create("TrainingRun", "tiny", spec=run_spec())["metadata"]["uid"]
    cause = "spec.storage.uri: the bucket nowhere does not exist"
    hand.end_pod("tiny", "preflight", "permanent", reason="BucketNotFound", cause=cause)
    status = hand.phase("TrainingRun", "tiny", "Failed")
    failure = status["failure"]
    assert (status["message"], failure["exitCode"], failure["container"]) == (cause, 64, "preflight")
    hand.condition("TrainingRun", "tiny", "Stalled", "True", "BucketNotFound")
    eventually("Event of the failure", lambda: ("BucketNotFound", cause) in hand.events("tiny"))
    assert "Deployment" not in hand.owned(uid)


def test_an_object_that_the_api_server_refuses_ends_the_run_with_its_words(hand: Hand) -> None:
    """A quantity that is none is seen by the API server alone; what it says of it becomes the run's condition."""
    pod: dict[str, Any] = {"resources": {"requests": {"cpu": "lots"}}}
    hand.create("TrainingRun", "tiny", spec=run_spec(sandbox={"pod": pod}))
    hand.end_pod("tiny", "preflight", "done")
    status = hand.phase("TrainingRun", "tiny", "Failed")
    assert "create Deployment tiny-tr-sandbox" in status["message"]
    assert "quantities must match" in status["message"]
    hand.condition("TrainingRun", "tiny", "Failed", "True", "Refused")


def test_an_exhausted_quota_is_waited_for(hand: Hand) -> None:
    """A quota is somebody else's to raise, so the run waits and says so."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"count/jobs.batch": "0"}}}
    path = f"/api/v1/namespaces/{hand.namespace}/resourcequotas"
    hand.call("POST", path, {**quota, "metadata": {"name": "none"}})
    eventually("quota in force", lambda: hand.call("GET", f"{path}/none").get("status", {}).get("hard"))
    hand.create("TrainingRun", "tiny", spec=run_spec())
    message = hand.condition("TrainingRun", "tiny", "Ready", "False", "QuotaExceeded")["message"]
    assert "exceeded quota: none" in message
    assert hand.status("TrainingRun", "tiny")["phase"] == "Pending"


@pytest.fixture
def absent_class(control_plane: ControlPlane) -> Any:
    """The name of a RuntimeClass that is not there yet, and is taken away after the test."""
    name = f"late-{uuid.uuid4().hex[:8]}"
    yield name
    control_plane.try_kubectl("delete", "runtimeclass", name)


def test_a_runtime_class_that_comes_late_is_waited_for(
    control_plane: ControlPlane, hand: Hand, absent_class: str
) -> None:
    """Without the RuntimeClass not even the preflight starts; with it the run goes on by itself."""
    uid = hand.create("TrainingRun", "tiny", spec=run_spec(sandbox={"runtimeClassName": absent_class}))["metadata"][
        "uid"
    ]
    message = hand.condition("TrainingRun", "tiny", "Ready", "False", "RuntimeClassNotFound")["message"]
    assert f'spec.sandbox.runtimeClassName: "{absent_class}": there is no such RuntimeClass' in message
    assert "Job" not in hand.owned(uid)
    text = f"apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {{name: {absent_class}}}\nhandler: runsc\n"
    control_plane.kubectl("create", "-f", "-", text=text)
    hand.pod("tiny", "preflight")
