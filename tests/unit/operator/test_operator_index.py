"""What the operator keeps of the cluster: by owner, and only of what is really a child."""

from __future__ import annotations

from typing import Any

from deepcoder_api.manifest import parse_resource
from deepcoder_operator import objects
from deepcoder_operator.index import Index, Key, owner_key
from tests.operator_builders import RUN_OWNER, UID, evaluation_spec, run_spec

RUN = Key("TrainingRun", "team", "tiny")
EVALUATION = Key("Evaluation", "team", "after")


def _stored(document: dict[str, Any], version: int = 1, uid: str = "uid-1") -> dict[str, Any]:
    metadata = {**document["metadata"], "uid": uid, "resourceVersion": str(version)}
    return {**document, "metadata": metadata}


def _run(version: int = 1, uid: str = UID, **status: Any) -> dict[str, Any]:
    metadata = {"name": "tiny", "namespace": "team", "managedFields": [{"manager": "kubectl"}]}
    document = {"apiVersion": "deepcoder.dev/v1alpha1", "kind": "TrainingRun", "metadata": metadata}
    return _stored({**document, "spec": run_spec(), "status": status}, version, uid)


def _evaluation(run: str) -> dict[str, Any]:
    spec = {**evaluation_spec(), "model": {"trainingRun": {"name": run, "checkpoint": {"latest": {}}}}}
    document = {"apiVersion": "deepcoder.dev/v1alpha1", "kind": "Evaluation", "spec": spec}
    return _stored({**document, "metadata": {"name": "after", "namespace": "team"}}, 1, "uid-e")


def test_a_resource_comes_out_as_it_went_in_but_for_what_nobody_reads() -> None:
    """It can be parsed, and carries no managedFields."""
    index = Index()
    index.put("TrainingRun", _run(phase="Training"))
    seen = index.resource(RUN)
    assert seen is not None
    assert (seen.uid, seen.phase, seen.terminating) == (UID, "Training", False)
    assert parse_resource(seen.document()).metadata.resource_version == "1"
    assert "managedFields" not in seen.document()["metadata"]


def test_of_two_resources_of_one_name_the_newer_is_meant() -> None:
    """A run that was deleted and applied again is another one, whichever word of the two comes last."""
    index = Index()
    index.put("TrainingRun", _run(9, "uid-new"))
    index.put("TrainingRun", _run(5, "uid-old"))
    seen = index.resource(RUN)
    assert seen is not None
    assert seen.uid == "uid-new"
    index.remove("TrainingRun", _run(10, "uid-new"))
    index.remove("TrainingRun", _run(6, "uid-old"))
    assert index.resource(RUN) is None


def test_children_are_found_by_their_owner() -> None:
    """A ConfigMap gives its data, and is there by its name too."""
    index = Index()
    meta = objects.metadata(RUN_OWNER, "config")
    index.put("ConfigMap", _stored({"metadata": meta, "data": {"config.json": "{}"}}, uid="uid-c"))
    selector = objects.orchestrator_selector(RUN_OWNER, 2)
    service = objects.orchestrator_service(RUN_OWNER, selector, {"orchestrator": 8700})
    index.put("Service", _stored(service, uid="uid-s"))
    children = index.children(UID)
    assert children.config == {"config.json": "{}"}
    assert children.has("ConfigMap", "tiny-tr-config")
    assert [item.attempt for item in children.named if item.kind == "Service"] == [2]
    assert index.children("another").named == ()


def test_an_object_with_our_labels_and_another_owner_is_no_child() -> None:
    """Labels are anybody's to set; the owner reference is what Kubernetes acts on."""
    index = Index()
    service = objects.service(RUN_OWNER, "sandbox", "sandbox", {"grading": 8000})
    service["metadata"]["ownerReferences"][0]["uid"] = "another"
    index.put("Service", _stored(service))
    assert index.children(UID).named == ()


def test_a_pod_is_its_jobs_and_still_found_by_its_label() -> None:
    """Its controller is the Job."""
    index = Index()
    meta = {**objects.metadata(RUN_OWNER, "trainer-1-0-x", "trainer", 1), "ownerReferences": [{"uid": "job"}]}
    index.put("Pod", _stored({"metadata": meta, "status": {"phase": "Running", "podIP": "10.0.0.1"}}))
    assert [(pod.role, pod.attempt, pod.address) for pod in index.children(UID).pods] == [("trainer", 1, "10.0.0.1")]


def test_the_evaluations_of_a_run_are_known() -> None:
    """They are woken when it changes."""
    index = Index()
    index.put("Evaluation", _evaluation("tiny"))
    assert index.waiting_for(RUN) == [EVALUATION]
    assert index.waiting_for(Key("TrainingRun", "team", "another")) == []
    assert index.waiting_for(Key("TrainingRun", "elsewhere", "tiny")) == []
    assert index.waiting_for(Key("Evaluation", "team", "tiny")) == []


def test_a_child_names_the_resource_that_must_look() -> None:
    """An event of a child is an event of its owner."""
    body = objects.service_account(RUN_OWNER, "pods")
    assert owner_key(body) == RUN
    assert owner_key({"metadata": {"name": "x", "namespace": "team"}}) is None
