"""Builders of what the operator's tests work on: resources, children as they are seen, and what plans came to."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from deepcoder_api.lifecycle import Outcome, Progress, TerminationMessage
from deepcoder_api.manifest import EvaluationResource, TrainingRunResource, parse_resource
from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun
from deepcoder_operator import evaluation_objects, run_objects
from deepcoder_operator.draft import rfc3339
from deepcoder_operator.frozen import Frozen, Images
from deepcoder_operator.labels import Owner
from deepcoder_operator.observed import ContainerEnd, ContainerWait, DeploymentSeen, JobSeen, PodSeen
from deepcoder_operator.plan import Create, Delete, Plan, Surroundings
from deepcoder_operator.projection import parse_time

UID = "6f1c2a34-0000-4000-8000-000000000001"
RUN_OWNER = Owner("TrainingRun", "team", "tiny", UID)
EVALUATION_OWNER = Owner("Evaluation", "team", "tiny", UID)
DATASET = "s3://bucket/prefix/datasets/abc"
ROOT = "s3://bucket/prefix/runs/team/tiny/6f1c2a34"
IMAGES = Images(
    {"worker": "registry/worker:1", "trainer": "registry/trainer:1", "rollout": "registry/rollout:1",
     "sandbox": "registry/sandbox:1"},
    "IfNotPresent",
    ("pull-secret",),
)  # fmt: skip
# Not now(): a test says what time it is.
NOW = cast("datetime", parse_time("2026-03-01T12:00:00Z"))

Document = dict[str, Any]


def after(seconds: float) -> datetime:
    """The moment so long after NOW."""
    return NOW + timedelta(seconds=seconds)


def around(seconds: float = 0.0) -> Surroundings:
    """What a plan needs besides, so long after NOW."""
    return Surroundings(after(seconds), "deepcoder-system", IMAGES)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`; mappings are merged, all else is replaced."""
    both = {key: value for key, value in base.items() if key in changes}
    return {
        **base,
        **{
            key: merged(both[key], value) if isinstance(both.get(key), dict) and isinstance(value, dict) else value
            for key, value in changes.items()
        },
    }


def run_spec(**changes: Any) -> dict[str, Any]:
    """A run of two stages, 3 and 2 steps, on CPU; `changes` are of spec, as in YAML."""
    spec: dict[str, Any] = {
        "model": {"uri": "s3://bucket/base"},
        "data": {"sources": [{"name": "made", "format": "jsonl", "uri": "s3://bucket/p.jsonl"}], "maxPromptTokens": 64},
        "algorithm": {"promptsPerStep": 4, "samplesPerPrompt": 2},
        "stages": [
            {"name": "short", "maxResponseTokens": 12, "steps": 3},
            {"name": "long", "maxResponseTokens": 24, "steps": 2},
        ],
        "trainer": {"gpusPerReplica": 0, "precision": "fp32", "tokensPerMicrobatch": 256},
        "rollout": {"gpusPerReplica": 0},
        "storage": {"uri": "s3://bucket/prefix", "secretName": "s3"},
        "checkpoint": {"everySteps": 2},
    }
    return merged(spec, changes)


def evaluation_spec(**changes: Any) -> dict[str, Any]:
    """An evaluation of one benchmark; `changes` are of spec, as in YAML."""
    spec: dict[str, Any] = {
        "model": {"uri": "s3://bucket/base"},
        "engine": {"gpusPerReplica": 0},
        "benchmarks": [{"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/h.jsonl"}],
        "storage": {"uri": "s3://bucket/prefix", "secretName": "s3"},
    }
    return merged(spec, changes)


def _document(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any], generation: int) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "uid": UID, "generation": generation}
    metadata["creationTimestamp"] = rfc3339(NOW)
    return {
        "apiVersion": "deepcoder.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status,
    }  # fmt: skip


def training_run(
    status: dict[str, Any] | None = None, *, name: str = "tiny", generation: int = 1, **spec: Any
) -> TrainingRunResource:
    """A TrainingRun as the API server holds it, created at NOW."""
    resource = parse_resource(_document("TrainingRun", name, run_spec(**spec), status or {}, generation))
    assert isinstance(resource, TrainingRunResource)
    return resource


def evaluation(
    status: dict[str, Any] | None = None, *, name: str = "tiny", generation: int = 1, **spec: Any
) -> EvaluationResource:
    """An Evaluation as the API server holds it, created at NOW."""
    resource = parse_resource(_document("Evaluation", name, evaluation_spec(**spec), status or {}, generation))
    assert isinstance(resource, EvaluationResource)
    return resource


def job(role: str, attempt: int = 1, *, owner: Owner = RUN_OWNER, **changes: Any) -> JobSeen:
    """A Job as it is seen."""
    name = owner.child(f"{role}-{attempt}")
    return replace(JobSeen(name, f"uid-{name}", role, attempt), **changes)


def deployment(role: str, replicas: int = 1, *, owner: Owner = RUN_OWNER, **changes: Any) -> DeploymentSeen:
    """A Deployment as it is seen."""
    return replace(DeploymentSeen(owner.child(role), f"uid-{role}", role, replicas), **changes)


def pod(role: str, attempt: int = 0, *, index: int = 0, **changes: Any) -> PodSeen:
    """A pod as it is seen, created at NOW."""
    name = f"tiny-tr-{role}-{attempt}-{index}-x"
    return replace(PodSeen(name, f"uid-{name}", role, attempt, index, created_at=NOW), **changes)


def waits(reason: str, message: str = "", container: str = "c") -> dict[str, Any]:
    """What a pod shows whose container waits."""
    return {"waits": (ContainerWait(container, reason, message),)}


def ends(container: str, exit_code: int, message: str = "", reason: str = "", at: float = 0.0) -> dict[str, Any]:
    """What a pod shows whose container has ended."""
    return {"phase": "Failed" if exit_code else "Succeeded",
            "ends": (ContainerEnd(container, exit_code, reason, message, after(at)),)}  # fmt: skip


def says(outcome: Outcome, **parts: Any) -> str:
    """A termination message."""
    return TerminationMessage(outcome=outcome, **parts).model_dump_json()


def progress(**changes: Any) -> Progress:
    """What the orchestrator tells in the middle of the first stage."""
    values: dict[str, Any] = {
        "attempt": 1, "state": "training", "stage": "short", "step": 2, "total_steps": 5, "policy_version": 2,
        "reward": 0.5, "truncated_fraction": 0.25, "tokens_per_second": 100.0, "seconds_per_step": 10.0,
        "rollouts_ready": 1,
    }  # fmt: skip
    return Progress(**{**values, **changes})


def conditions_of(plan: Plan[Any]) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {item.type: (item.status, item.reason) for item in plan.status.conditions}


def created(plan: Plan[Any]) -> list[str]:
    """Kind and name of what a plan creates."""
    return [f"{action.kind} {action.name}" for action in plan.actions if isinstance(action, Create)]


def deleted(plan: Plan[Any]) -> list[str]:
    """Kind and name of what a plan deletes."""
    return [f"{action.kind} {action.name}" for action in plan.actions if isinstance(action, Delete)]


def frozen_run(**spec: Any) -> Frozen[ResolvedRun]:
    """A run as it is frozen at its start."""
    return Frozen(training_run(**spec).resolved(), IMAGES)


def frozen_evaluation(**spec: Any) -> Frozen[ResolvedEvaluation]:
    """An evaluation of a model of its own as it is frozen at its start."""
    resource = evaluation(**spec)
    meta = resource.metadata
    model = resource.spec.model.uri or ""
    resolved = ResolvedEvaluation(
        namespace=meta.namespace, name=meta.name, uid=meta.uid, spec=resource.spec, model_uri=model, model_name="m"
    )
    return Frozen(resolved, IMAGES)


def workloads(**spec: Any) -> dict[str, Document]:
    """Every Job and Deployment of a run, by role; `spec` changes the run's."""
    run = frozen_run(**spec)
    return {
        "preflight": run_objects.preflight_job(RUN_OWNER, run, 1),
        "prepare": run_objects.prepare_job(RUN_OWNER, run, 1),
        "trainer": run_objects.trainer_job(RUN_OWNER, run, 2, DATASET),
        "rollout": run_objects.rollout_deployment(RUN_OWNER, run, 3),
        "sandbox": run_objects.sandbox_deployment(RUN_OWNER, run, 2),
    }


def evaluation_foundations(owner: Owner, operator_namespace: str, **spec: Any) -> list[Document]:
    """What an evaluation has before any pod."""
    return evaluation_objects.foundations(owner, operator_namespace, frozen_evaluation(**spec).resource.spec)


def evaluation_workloads(**spec: Any) -> dict[str, Document]:
    """Every Job and Deployment of an evaluation, by role."""
    frozen = frozen_evaluation(**spec)
    return {
        "evaluation preflight": evaluation_objects.preflight_job(EVALUATION_OWNER, frozen, 1),
        "evaluator": evaluation_objects.evaluator_job(EVALUATION_OWNER, frozen, 1),
        "engine": evaluation_objects.engine_deployment(EVALUATION_OWNER, frozen),
        "evaluation sandbox": evaluation_objects.sandbox_deployment(EVALUATION_OWNER, frozen, 1),
    }
