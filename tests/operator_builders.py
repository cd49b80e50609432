"""Builders of what the operator's tests work on: resources, children as they are seen, and a world that obeys plans."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar, cast

from deepcoder_api.lifecycle import Outcome, Progress, TerminationMessage
from deepcoder_api.manifest import EvaluationResource, TrainingRunResource, parse_resource
from deepcoder_api.specification import kubernetes_form
from deepcoder_operator.draft import rfc3339
from deepcoder_operator.evaluation_plan import EvaluationFacts, plan_evaluation
from deepcoder_operator.frozen import Images
from deepcoder_operator.labels import Owner
from deepcoder_operator.observed import Children, ContainerEnd, ContainerWait, DeploymentSeen, JobSeen, PodSeen
from deepcoder_operator.plan import Action, Create, Delete, Plan, Scale, Select, Surroundings
from deepcoder_operator.projection import parse_time, see_deployment, see_job, see_named
from deepcoder_operator.run_context import RunFacts
from deepcoder_operator.run_plan import plan_run

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

Resource = TypeVar("Resource", TrainingRunResource, EvaluationResource)


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


class World(Generic[Resource]):
    """A resource and its children that do what plans say. What the cluster itself does, a test says."""

    def __init__(self, resource: Resource) -> None:
        self.resource: Resource = resource
        self.children = Children()
        self.run_facts = RunFacts(runtime_class_there=True)
        self.evaluation_facts = EvaluationFacts(runtime_class_there=True)
        self.seconds = 0.0
        self._made = 0

    def look(self) -> Plan[Any]:
        """Plan once, carry it out, and keep the status as the API server would give it back."""
        plan = self.plan()
        for action in plan.actions:
            self._carry_out(action)
        meta = self.resource.metadata.model_dump(by_alias=True, exclude_none=True)
        document = {
            **self.resource.model_dump(by_alias=True, mode="json", exclude={"metadata", "status"}),
            "metadata": meta, "status": kubernetes_form(plan.status),
        }  # fmt: skip
        self.resource = cast("Resource", parse_resource(document))
        return plan

    def plan(self) -> Plan[Any]:
        """What would be done now."""
        if isinstance(self.resource, TrainingRunResource):
            return plan_run(self.resource, self.children, self.run_facts, around(self.seconds))
        return plan_evaluation(self.resource, self.children, self.evaluation_facts, around(self.seconds))

    def settle(self) -> Plan[Any]:
        """Look until nothing is left to do at once."""
        for _ in range(10):
            plan = self.look()
            if not plan.actions and plan.again_in != 0.0:
                return plan
        raise AssertionError("still acting after ten looks")

    def see(self, *seen: JobSeen | DeploymentSeen | PodSeen) -> None:
        """The cluster shows these; they replace those of the same name."""
        for kind, field in ((JobSeen, "jobs"), (DeploymentSeen, "deployments"), (PodSeen, "pods")):
            new = [item for item in seen if isinstance(item, kind)]
            names = {item.name for item in new}
            kept = [item for item in getattr(self.children, field) if item.name not in names]
            self.children = replace(self.children, **{field: (*kept, *new)})

    def change_job(self, role: str, attempt: int = 1, **changes: Any) -> None:
        """A Job moves on."""
        found = next(item for item in self.children.jobs if item.role == role and item.attempt == attempt)
        self.see(replace(found, **changes))

    def _carry_out(self, action: Action) -> None:
        match action:
            case Create():
                self._create(action.document)
            case Delete():
                for field in ("jobs", "deployments", "named"):
                    kept = tuple(item for item in getattr(self.children, field) if item.uid != action.uid)
                    self.children = replace(self.children, **{field: kept})
            case Scale():
                self.see(*(replace(d, replicas=action.replicas) for d in self.children.deployments
                           if d.uid == action.uid))  # fmt: skip
            case Select():
                attempt = int(action.selector["deepcoder.dev/attempt"])
                named = tuple(replace(n, attempt=attempt) if n.uid == action.uid else n for n in self.children.named)
                self.children = replace(self.children, named=named)

    def _create(self, document: dict[str, Any]) -> None:
        self._made += 1
        kind, meta = document["kind"], document["metadata"]
        assert not self.children.has(kind, meta["name"]), f"{kind} {meta['name']} is there already"
        body = {**document, "metadata": {**meta, "uid": f"uid-{self._made}"}}
        if kind == "Job":
            self.see(see_job(body))
        elif kind == "Deployment":
            self.see(see_deployment(body))
        else:
            self.children = replace(self.children, named=(*self.children.named, see_named(kind, body)))
        if kind == "ConfigMap":
            self.children = replace(self.children, config=document["data"])


def run_world(stage: str = "new", **spec: Any) -> World[TrainingRunResource]:
    """A run that has come as far as `stage`: new, checked, isolated, prepared, started, training."""
    # A world holds values that do not change, so many tests may start from copies of one.
    return copy(_run_world(stage, json.dumps(spec)))


@cache
def _run_world(stage: str, spec: str) -> World[TrainingRunResource]:
    world = World(training_run(**json.loads(spec)))
    if stage == "new":
        return world
    world.settle()
    world.change_job("preflight", complete=True)
    world.settle()
    if stage == "checked":
        return world
    world.see(pod("sandbox", ready=True))
    world.settle()
    if stage == "isolated":
        return world
    world.change_job("prepare", complete=True)
    world.see(pod("prepare", 1, **ends("prepare", 0, says("done", uri=DATASET, cause="164 problems"))))
    world.look()
    if stage == "prepared":
        return world
    world.settle()
    if stage == "started":
        return world
    assert stage == "training", stage
    world.see(pod("trainer", 1, phase="Running"), pod("rollout", phase="Running", ready=True))
    world.run_facts = replace(world.run_facts, progress=progress())
    world.settle()
    return world


def evaluation_world(stage: str = "new", **spec: Any) -> World[EvaluationResource]:
    """An evaluation that has come as far as `stage`: new, checked, running."""
    return copy(_evaluation_world(stage, json.dumps(spec)))


@cache
def _evaluation_world(stage: str, spec: str) -> World[EvaluationResource]:
    world = World(evaluation(**json.loads(spec)))
    if stage == "new":
        return world
    world.settle()
    world.change_job("preflight", complete=True)
    world.settle()
    if stage == "checked":
        return world
    assert stage == "running", stage
    world.see(pod("sandbox", ready=True), pod("engine", ready=True))
    world.settle()
    return world
