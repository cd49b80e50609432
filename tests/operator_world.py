"""A resource and its children in a world that obeys plans, and how far it has come."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from functools import cache
from typing import Any, Generic, TypeVar, cast

from deepcoder_api.manifest import EvaluationResource, TrainingRunResource, parse_resource
from deepcoder_api.specification import kubernetes_form
from deepcoder_operator.evaluation_plan import EvaluationFacts, plan_evaluation
from deepcoder_operator.observed import Children, DeploymentSeen, JobSeen, PodSeen
from deepcoder_operator.plan import Action, Create, Delete, Plan, Scale, Select
from deepcoder_operator.projection import see_deployment, see_job, see_named
from deepcoder_operator.run_context import RunFacts
from deepcoder_operator.run_plan import plan_run
from tests.operator_builders import DATASET, IMAGES, around, ends, evaluation, pod, progress, says, training_run

Resource = TypeVar("Resource", TrainingRunResource, EvaluationResource)


class World(Generic[Resource]):
    """A resource and its children that do what plans say. What the cluster itself does, a test says."""

    def __init__(self, resource: Resource) -> None:
        self.resource: Resource = resource
        self.children = Children()
        self.run_facts = RunFacts(runtime_class_there=True)
        self.evaluation_facts = EvaluationFacts(runtime_class_there=True)
        self.seconds = 0.0
        self.images = IMAGES
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
        now = replace(around(self.seconds), images=self.images)
        if isinstance(self.resource, TrainingRunResource):
            return plan_run(self.resource, self.children, self.run_facts, now)
        return plan_evaluation(self.resource, self.children, self.evaluation_facts, now)

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
