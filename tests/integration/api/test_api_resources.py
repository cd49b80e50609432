"""The kinds as a real API server serves them: defaults, names, columns, scale, status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.manifest import EvaluationResource, TrainingRunResource, parse_resource
from deepcoder_api.specification import kubernetes_form
from deepcoder_api.training_run import TrainingRunStatus
from tests.control_plane import ControlPlane
from tests.resource_documents import Document, evaluation, training_run

ROOT = Path(__file__).resolve().parents[3]
NOW = "2026-01-02T03:04:05Z"


def create(plane: ControlPlane, namespace: str, document: Document) -> Document:
    """The document as the API server made it."""
    text = plane.kubectl("-n", namespace, "create", "-o", "json", "-f", "-", text=json.dumps(document))
    return json.loads(text)


def write_status(plane: ControlPlane, namespace: str, kind: str, name: str, status: dict[str, Any]) -> Document:
    """The document after its status was written."""
    arguments = ("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    return json.loads(plane.kubectl("-n", namespace, *arguments, "-o", "json"))


@pytest.mark.parametrize("document", [training_run(), evaluation()], ids=lambda document: document["kind"])
def test_defaults_are_the_models_own(control_plane: ControlPlane, namespace: str, document: Document) -> None:
    """What the API server fills in is what the models fill in: a spec means the same here and there."""
    served = create(control_plane, namespace, document)
    assert parse_resource(served).spec == parse_resource(document).spec


def test_no_default_beats_a_preset(control_plane: ControlPlane, namespace: str) -> None:
    """What a preset owns stays absent: a server's default would look like the user's wish."""
    served = create(control_plane, namespace, training_run())
    assert served["spec"]["algorithm"] == {"preset": "grpo-plus"}


def test_an_absent_part_has_its_defaults(control_plane: ControlPlane, namespace: str) -> None:
    """Defaults reach into parts that were not given."""
    spec = create(control_plane, namespace, evaluation())["spec"]
    assert spec["sampling"] == {
        "temperature": 0.6,
        "topP": 0.95,
        "samplesPerPrompt": 1,
        "seed": 0,
    }
    assert spec["sandbox"]["runtimeClassName"] == "gvisor"
    assert "activeDeadlineSeconds" not in spec


def test_latest_is_the_default_checkpoint(control_plane: ControlPlane, namespace: str) -> None:
    """A union's default is one whole member."""
    served = create(control_plane, namespace, evaluation(model={"trainingRun": {"name": "tiny"}}))
    assert served["spec"]["model"] == {"trainingRun": {"name": "tiny", "checkpoint": {"latest": {}}}}


def test_absent_and_null_mean_the_same(control_plane: ControlPlane, namespace: str) -> None:
    """A null, as templates leave it, is no value: to kubectl create and to us."""
    document = training_run(rollout={"replicas": None, "maxModelLength": None})
    served = create(control_plane, namespace, document)
    assert parse_resource(served).spec == parse_resource(document).spec == parse_resource(training_run()).spec


@pytest.mark.parametrize(
    "name", ["trainingruns", "trainingrun", "dctr", "evaluations", "evaluation", "dcev", "deepcoder"]
)
def test_names_of_the_kinds(control_plane: ControlPlane, name: str) -> None:
    """Plural, singular, short name, and the category of both."""
    done = control_plane.try_kubectl("-n", "default", "get", name)
    assert done.returncode == 0, done.stderr


def columns(text: str) -> list[str]:
    """The headings of a table that kubectl prints."""
    return text.splitlines()[0].split()


def test_columns_of_runs(control_plane: ControlPlane, namespace: str) -> None:
    """`kubectl get dctr` shows where a run stands; -o wide also restarts and the message."""
    create(control_plane, namespace, training_run())
    status = {
        "phase": "Training",
        "stage": "long",
        "step": 4,
        "totalSteps": 5,
        "reward": 0.25,
        "lastCheckpoint": {"uri": "s3://bucket/c", "step": 3},
        "restarts": 1,
        "message": "step 4 of 5",
    }
    write_status(control_plane, namespace, "dctr", "tiny", status)
    narrow = control_plane.kubectl("-n", namespace, "get", "dctr")
    assert columns(narrow) == ["NAME", "PHASE", "STAGE", "STEP", "STEPS", "REWARD", "CHECKPOINT", "AGE"]
    assert narrow.splitlines()[1].split()[:-1] == ["tiny", "Training", "long", "4", "5", "0.25", "3"]
    wide = control_plane.kubectl("-n", namespace, "get", "dctr", "-o", "wide")
    assert columns(wide)[-3:] == ["RESTARTS", "MESSAGE", "AGE"]
    assert "step 4 of 5" in wide


def test_columns_of_evaluations(control_plane: ControlPlane, namespace: str) -> None:
    """`kubectl get dcev` shows the score."""
    create(control_plane, namespace, evaluation())
    status = {"phase": "Succeeded", "model": "s3://bucket/model", "passAt1": 0.8125, "answered": 16, "total": 16}
    write_status(control_plane, namespace, "dcev", "before", status)
    narrow = control_plane.kubectl("-n", namespace, "get", "dcev")
    assert columns(narrow) == ["NAME", "PHASE", "MODEL", "PASS@1", "AGE"]
    assert narrow.splitlines()[1].split()[:-1] == ["before", "Succeeded", "s3://bucket/model", "0.8125"]


def test_rollout_replicas_scale(control_plane: ControlPlane, namespace: str) -> None:
    """`kubectl scale` and autoscalers reach the rollout servers, and nothing else changes."""
    before = create(control_plane, namespace, training_run())["spec"]
    control_plane.kubectl("-n", namespace, "scale", "dctr", "tiny", "--replicas=7")
    rollout = {"replicas": 5, "readyReplicas": 4, "selector": "deepcoder.dev/role=rollout"}
    after = write_status(control_plane, namespace, "dctr", "tiny", {"phase": "Training", "rollout": rollout})["spec"]
    assert after == {**before, "rollout": {**before["rollout"], "replicas": 7}}
    path = f"/apis/deepcoder.dev/v1alpha1/namespaces/{namespace}/trainingruns/tiny/scale"
    scale = json.loads(control_plane.kubectl("get", "--raw", path))
    assert scale["spec"] == {"replicas": 7}
    assert scale["status"] == {"replicas": 5, "selector": "deepcoder.dev/role=rollout"}


def test_replicas_out_of_bounds_do_not_scale(control_plane: ControlPlane, namespace: str) -> None:
    """The bounds of the field hold for the subresource too."""
    create(control_plane, namespace, training_run())
    done = control_plane.try_kubectl("-n", namespace, "scale", "dctr", "tiny", "--replicas=0")
    assert done.returncode != 0
    assert "spec.rollout.replicas in body should be greater than or equal to 1" in done.stderr


CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Training",
    "message": "step 4 of 5",
    "observedGeneration": 1,
    "lastTransitionTime": NOW,
}
RUN_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "phase": "Training",
    "conditions": [CONDITION],
    "message": "step 4 of 5",
    "stage": "long",
    "step": 4,
    "totalSteps": 5,
    "reward": 0.5,
    "truncatedFraction": 0.25,
    "tokensPerSecond": 1234.5,
    "estimatedCompletion": NOW,
    "policyVersion": 4,
    "attempt": 2,
    "restarts": 1,
    "dataset": "s3://bucket/prefix/datasets/abc",
    "lastCheckpoint": {"uri": "s3://bucket/c", "step": 3, "time": NOW},
    "advances": [{"stage": "short", "step": 2, "reason": "reward 0.9 over the last 2 steps, above 0.8"}],
    "bestCheckpoint": {"uri": "s3://bucket/c", "step": 2, "score": 0.75},
    "validation": {"step": 4, "score": 0.5},
    "model": {"uri": "s3://bucket/c/model"},
    "failure": {
        "attempt": 1,
        "time": NOW,
        "pod": "tiny-tr-trainer-1-0",
        "container": "trainer",
        "exitCode": 75,
        "cause": "lost",
        "log": "…",
    },
    "rollout": {"selector": "a=b", "replicas": 2, "readyReplicas": 1},
    "startTime": NOW,
    "completionTime": NOW,
}
EVALUATION_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "phase": "Succeeded",
    "conditions": [CONDITION],
    "message": "done",
    "model": "s3://bucket/model",
    "answered": 16,
    "total": 16,
    "scores": [{"name": "held-out", "problems": 16, "passAt1": 0.8125}],
    "passAt1": 0.8125,
    "passAt1ByLength": "16384: 0.750, 32768: 0.813",
    "report": "s3://bucket/report.json",
    "failure": {"cause": "none"},
    "startTime": NOW,
    "completionTime": NOW,
}


def test_a_whole_run_status_comes_back(control_plane: ControlPlane, namespace: str) -> None:
    """Every field of the status is in the schema: none is dropped on the way, and our model reads it again."""
    create(control_plane, namespace, training_run())
    status = TrainingRunStatus.model_validate(RUN_STATUS)
    served = write_status(control_plane, namespace, "dctr", "tiny", kubernetes_form(status))
    resource = parse_resource(served)
    assert isinstance(resource, TrainingRunResource)
    assert resource.status == status
    unset = [name for name in TrainingRunStatus.model_fields if name not in status.model_fields_set]
    assert unset == [], "a new status field belongs in this test"


def test_a_whole_evaluation_status_comes_back(control_plane: ControlPlane, namespace: str) -> None:
    """Every field of the status is in the schema: none is dropped on the way, and our model reads it again."""
    create(control_plane, namespace, evaluation())
    status = EvaluationStatus.model_validate(EVALUATION_STATUS)
    served = write_status(control_plane, namespace, "dcev", "before", kubernetes_form(status))
    resource = parse_resource(served)
    assert isinstance(resource, EvaluationResource)
    assert resource.status == status
    unset = [name for name in EvaluationStatus.model_fields if name not in status.model_fields_set]
    assert unset == [], "a new status field belongs in this test"


def test_who_writes_a_spec_cannot_write_a_status(control_plane: ControlPlane, namespace: str) -> None:
    """The status is a subresource: what a user writes there is not taken."""
    served = create(control_plane, namespace, {**training_run(), "status": {"phase": "Succeeded"}})
    assert "status" not in served


def test_the_longest_name_is_taken(control_plane: ControlPlane, namespace: str) -> None:
    """Forty characters, and no fewer because of children's names."""
    served = create(control_plane, namespace, training_run("a" * 40))
    assert served["metadata"]["name"] == "a" * 40


def test_every_field_is_explained(control_plane: ControlPlane) -> None:
    """`kubectl explain --recursive` knows all fields, and single ones have a sentence."""
    text = control_plane.kubectl("explain", "trainingrun.spec.stages.maxResponseTokens")
    assert "Response limit in tokens." in text
    tree = control_plane.kubectl("explain", "evaluation.spec", "--recursive")
    assert "samplesPerPrompt" in tree
    assert "checkpoint" in tree


def test_examples_are_accepted(control_plane: ControlPlane) -> None:
    """Every resource of the quickstart, as it stands in the repository, by the API server itself."""
    done = control_plane.try_kubectl(
        "-n", "default", "create", "--dry-run=server", "-f", str(ROOT / "examples" / "quickstart")
    )
    assert done.returncode == 0, done.stderr
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == [
        "evaluation.deepcoder.dev/quickstart-after",
        "evaluation.deepcoder.dev/quickstart-before",
        "trainingrun.deepcoder.dev/quickstart",
    ]
