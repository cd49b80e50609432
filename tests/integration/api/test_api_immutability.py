"""A spec is fixed once created, but for what may change: asked of the real API server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.control_plane import ControlPlane
from tests.resource_documents import evaluation, training_run

FIXED = "fixed once created; of a spec only"
MUTABLE_EVALUATION = "activeDeadlineSeconds, sandbox.replicas, suspend, ttlSecondsAfterFinished"

# A change of every kind of field: required, defaulted, without a default, inside a partly mutable part.
REFUSED_RUN_CHANGES: dict[str, dict[str, Any]] = {
    "spec.model": {"model": {"uri": "s3://bucket/other"}},
    "spec.data": {"data": {"minTests": 2}},
    "spec.algorithm": {"algorithm": {"clip": {"high": 0.3}}},
    "spec.stages": {"stages": [{"name": "short", "maxResponseTokens": 128, "steps": 4}]},
    "spec.optimizer": {"optimizer": {"learningRate": 1e-5}},
    "spec.trainer": {"trainer": {"replicas": 2}},
    "spec.rollout.gpusPerReplica": {"rollout": {"gpusPerReplica": 2}},
    "spec.rollout.maxModelLength": {"rollout": {"maxModelLength": 4096}},
    "spec.rollout.extraArgs": {"rollout": {"extraArgs": ["--enforce-eager"]}},
    "spec.rollout.pod": {"rollout": {"pod": {"priorityClassName": "high"}}},
    "spec.sandbox.runtimeClassName": {"sandbox": {"runtimeClassName": "runc"}},
    "spec.sandbox.profile": {"sandbox": {"profile": "lcb-v5"}},
    "spec.sandbox.limits": {"sandbox": {"limits": {"processes": 64}}},
    "spec.sandbox.pod": {"sandbox": {"pod": {"image": "elsewhere/sandbox"}}},
    "spec.storage": {"storage": {"secretName": "other"}},
    "spec.checkpoint": {"checkpoint": {"keepLast": 1}},
    "spec.resumeFrom": {"resumeFrom": {"uri": "s3://bucket/prefix/runs/a/b/c/checkpoints/step-000002"}},
    "spec.validation": {
        "validation": {
            "everySteps": 2,
            "sources": [{"name": "held-out", "format": "jsonl", "uri": "s3://bucket/held-out.jsonl"}],
        }
    },
}
ALLOWED_RUN_CHANGES: dict[str, dict[str, Any]] = {
    "rollout.replicas": {"rollout": {"replicas": 4}},
    "sandbox.replicas": {"sandbox": {"replicas": 2}},
    "activeDeadlineSeconds": {"activeDeadlineSeconds": 3600},
    "failurePolicy.maxRestarts": {"failurePolicy": {"maxRestarts": 0}},
}
REFUSED_EVALUATION_CHANGES: dict[str, dict[str, Any]] = {
    "spec.model": {"model": {"uri": "s3://bucket/other"}},
    "spec.engine": {"engine": {"replicas": 2}},
    "spec.sampling": {"sampling": {"temperature": 0}},
    "spec.benchmarks": {"benchmarks": [{"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/other.jsonl"}]},
    "spec.sandbox.limits": {"sandbox": {"limits": {"processes": 64}}},
    "spec.storage": {"storage": {"region": "eu-central-1"}},
}
ALLOWED_EVALUATION_CHANGES: dict[str, dict[str, Any]] = {
    "sandbox.replicas": {"sandbox": {"replicas": 2}},
    "activeDeadlineSeconds": {"activeDeadlineSeconds": 3600},
    "suspend": {"suspend": True},
    "ttlSecondsAfterFinished": {"ttlSecondsAfterFinished": 0},
}


@pytest.fixture(scope="module")
def created(control_plane: ControlPlane) -> str:
    """A namespace with a TrainingRun and an Evaluation that say only what must be said."""
    control_plane.kubectl("create", "namespace", "immutability")
    for document in (training_run(), evaluation()):
        control_plane.kubectl("-n", "immutability", "create", "-f", "-", text=json.dumps(document))
    return "immutability"


def patch(plane: ControlPlane, namespace: str, kind: str, name: str, spec: dict[str, Any]) -> tuple[int, str]:
    """Exit code and words of a merge patch, without keeping it."""
    arguments = ("patch", kind, name, "--type=merge", "--dry-run=server", "-p", json.dumps({"spec": spec}))
    done = plane.try_kubectl("-n", namespace, *arguments)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("field", REFUSED_RUN_CHANGES)
def test_a_run_is_fixed(control_plane: ControlPlane, created: str, field: str) -> None:
    """The refusal names the field that changed, and it alone."""
    code, words = patch(control_plane, created, "dctr", "tiny", REFUSED_RUN_CHANGES[field])
    assert code != 0
    assert f'{field}: Invalid value: "object": {FIXED} activeDeadlineSeconds, failurePolicy.maxRestarts' in words
    assert words.count(FIXED) == 1


@pytest.mark.parametrize("field", ALLOWED_RUN_CHANGES)
def test_what_may_change_of_a_run(control_plane: ControlPlane, created: str, field: str) -> None:
    """Replicas, the deadline and the restarts are taken."""
    code, words = patch(control_plane, created, "dctr", "tiny", ALLOWED_RUN_CHANGES[field])
    assert code == 0, words
    assert "no change" not in words


@pytest.mark.parametrize("field", REFUSED_EVALUATION_CHANGES)
def test_an_evaluation_is_fixed(control_plane: ControlPlane, created: str, field: str) -> None:
    """The refusal names the field that changed, and it alone."""
    code, words = patch(control_plane, created, "dcev", "before", REFUSED_EVALUATION_CHANGES[field])
    assert code != 0
    assert f'{field}: Invalid value: "object": {FIXED} {MUTABLE_EVALUATION} may change' in words
    assert words.count(FIXED) == 1


@pytest.mark.parametrize("field", ALLOWED_EVALUATION_CHANGES)
def test_what_may_change_of_an_evaluation(control_plane: ControlPlane, created: str, field: str) -> None:
    """Sandbox replicas, suspend, the deadline and the time to live are taken."""
    code, words = patch(control_plane, created, "dcev", "before", ALLOWED_EVALUATION_CHANGES[field])
    assert code == 0, words
    assert "no change" not in words


def test_a_field_may_not_be_taken_away(control_plane: ControlPlane, namespace: str) -> None:
    """Leaving out what was given is a change as well."""
    given = training_run(rollout={"maxModelLength": 4096})
    control_plane.kubectl("-n", namespace, "create", "-f", "-", text=json.dumps(given))
    code, words = patch(control_plane, namespace, "dctr", "tiny", {"rollout": {"maxModelLength": None}})
    assert code != 0
    assert f'spec.rollout.maxModelLength: Invalid value: "object": {FIXED}' in words


def test_the_same_file_again_changes_nothing(control_plane: ControlPlane, namespace: str) -> None:
    """GitOps applies a file again and again: defaults that the server filled in are no change."""
    text = json.dumps(training_run())
    for _ in range(2):
        control_plane.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", text=text)
    run = json.loads(control_plane.kubectl("-n", namespace, "get", "dctr", "tiny", "-o", "json"))
    assert run["metadata"]["generation"] == 1
