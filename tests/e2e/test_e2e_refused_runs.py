"""What a user got wrong, said by the run's own condition before any trainer or rollout pod is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from deployment import NAMESPACE, Cluster

from deepcoder_data.store import ObjectStore
from tests.e2e.resources import Document, Resources, condition, phase, training_run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EMPTY = "s3://deepcoder/e2e/empty.jsonl"
UNTESTED = "s3://deepcoder/e2e/untested.jsonl"
WRONG = "s3://deepcoder/e2e/wrong-solution.jsonl"


def storage(**changes: str) -> dict[str, Any]:
    """A part of the spec's storage."""
    return {"storage": changes}


def source(uri: str) -> dict[str, Any]:
    """The one source of problems."""
    return {"data": {"sources": [{"name": "made", "format": "jsonl", "uri": uri}]}}


# name: (parts of the spec, the field that the message names, a part of the message)
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no-model": ({"model": {"uri": "s3://deepcoder/nowhere/model"}}, "spec.model.uri", "s3://deepcoder/nowhere/model"),
    "no-secret": (storage(secretName="not-there"), "spec.storage.secretName", "there is no such Secret"),
    "wrong-key": (storage(secretName="wrong-key"), "spec.storage", "key"),
    "no-bucket": (storage(uri="s3://no-such-bucket/x"), "spec.storage.uri", "no-such-bucket"),
    "no-runtime-class": (
        {"sandbox": {"runtimeClassName": "kata"}},
        "spec.sandbox.runtimeClassName",
        "there is no such RuntimeClass",
    ),
    "empty-data": (source(EMPTY), "spec.data.sources[made].uri", EMPTY),
    "data-left-empty": (source(UNTESTED), "spec.data", "no problem is left"),
    "no-solution-passes": (source(WRONG), "spec.data", "no problem is left"),
}


@pytest.fixture(scope="module")
def failed(cluster: Cluster, store: ObjectStore, resources: Resources) -> Iterator[dict[str, Document]]:
    """Every case applied at once, each as it stands when it has failed."""
    secret = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "wrong"}
    text = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong-key"}, "stringData": secret})
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=text)
    problem = {"id": "a", "prompt": "Double a number.", "tests": []}
    test = {"kind": "stdin", "input": "1\n", "output": "2\n"}
    store.put_bytes(EMPTY, b"")
    store.put_bytes(UNTESTED, (json.dumps(problem) + "\n").encode())
    store.put_bytes(WRONG, (json.dumps({**problem, "tests": [test], "solution": "print(3)"}) + "\n").encode())
    applied = {name: resources.apply(training_run(f"e2e-{name}", **parts)) for name, (parts, _, _) in CASES.items()}

    def ended(run: Document) -> bool:
        return phase("Failed", "Training", "Succeeded")(run)

    yield {name: resources.wait(run, "its end", ended, 300) for name, run in applied.items()}
    cluster.kubectl("-n", NAMESPACE, "delete", "secret", "wrong-key", "--ignore-not-found")


@pytest.mark.parametrize("name", CASES)
def test_a_bad_run_fails_with_the_field_and_the_value(name: str, failed: dict[str, Document]) -> None:
    """The condition Failed names what is wrong; Ready is False and Stalled True, as kstatus reads a dead end."""
    _, field, part = CASES[name]
    run = failed[name]
    assert run["status"]["phase"] == "Failed", run["status"]
    message = condition(run, "Failed")["message"]
    assert field in message, message
    assert part in message, message
    assert run["status"]["message"] == message
    assert condition(run, "Ready")["status"] == "False"
    assert condition(run, "Stalled")["status"] == "True"


def test_no_trainer_and_no_rollout_was_ever_made(cluster: Cluster, failed: dict[str, Document]) -> None:
    """No Job of a trainer and no Deployment of rollouts carries the name of a refused run."""
    for run in failed.values():
        for role in ("trainer", "rollout"):
            selector = f"deepcoder.dev/owner-uid={run['metadata']['uid']},deepcoder.dev/role={role}"
            assert [*cluster.items("jobs.batch", selector), *cluster.items("deployments.apps", selector)] == []


def test_what_a_stranger_reads_in_describe(cluster: Cluster, failed: dict[str, Document]) -> None:
    """`kubectl describe` shows the cause in the status and as an Event."""
    text = cluster.kubectl("-n", NAMESPACE, "describe", "dctr", failed["no-bucket"]["metadata"]["name"])
    assert "no-such-bucket" in text.partition("Events:")[0]
    assert "no-such-bucket" in text.partition("Events:")[2]
