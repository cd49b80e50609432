"""One look at a resource: what the index, the API server and its pods tell, and the plan that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, cast

from pydantic import ValidationError

from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.manifest import EvaluationResource, ManifestError, Resource, TrainingRunResource, parse_resource
from deepcoder_api.training_run import TrainingRunStatus
from deepcoder_operator.carry_out import Trouble
from deepcoder_operator.draft import ENDED
from deepcoder_operator.evaluation_plan import plan_evaluation
from deepcoder_operator.facts import Facts, measured_run, unchecked_run
from deepcoder_operator.frozen import FrozenConfigError
from deepcoder_operator.index import Index, Key, ResourceSeen
from deepcoder_operator.labels import Kind, Owner
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Create, Plan, Status, Surroundings
from deepcoder_operator.run_plan import plan_run
from deepcoder_operator.status_writes import invalid, troubled

_STATUSES: dict[str, type[TrainingRunStatus] | type[EvaluationStatus]] = {
    "TrainingRun": TrainingRunStatus,
    "Evaluation": EvaluationStatus,
}


@dataclass(frozen=True)
class Look(Generic[Status]):
    """What was seen and what follows. `depends_on` is the run that an evaluation names."""

    seen: ResourceSeen
    generation: int | None
    resource_version: str
    before: Status
    children: Children
    plan: Plan[Status]
    depends_on: Key | None = None

    @property
    def owner(self) -> Owner:
        """The resource as the owner of children."""
        key = self.seen.key
        return Owner(cast("Kind", key.kind), key.namespace, key.name, self.seen.uid)

    @property
    def weighty(self) -> bool:
        """Whether the plan fails or ends something or starts pods, so that it must not rest on what a watch told."""
        before, after = self.before, self.plan.status
        ends = after.phase in ENDED and before.phase not in ENDED
        starts = any(
            isinstance(action, Create) and action.kind in ("Job", "Deployment") for action in self.plan.actions
        )
        return ends or starts or after.failure != before.failure


class UnreadableStatusError(Exception):
    """The status was written by another version of the operator, and is left alone."""


AnyLook = Look[TrainingRunStatus] | Look[EvaluationStatus]


class Looker:
    """Looks, with what all looks share."""

    def __init__(self, index: Index, facts: Facts, around: Callable[[], Surroundings]) -> None:
        self._index = index
        self._facts = facts
        self._around = around

    async def look(self, seen: ResourceSeen) -> AnyLook:
        """Look at a resource. Raises ClusterError and UnreadableStatusError."""
        children = self._index.children(seen.uid)
        document = seen.document()
        try:
            resource = parse_resource(document)
        except ManifestError as error:
            # A live run is what it was frozen to: a rule across fields that is newer than it must not end it.
            run = unchecked_run(document) if children.config is not None else None
            if run is None:
                return _unreadable(seen, document, children, error, self._around().now)
            resource = run
        if isinstance(resource, TrainingRunResource):
            return await self._run(seen, resource, children)
        return await self._evaluation(seen, resource, children)

    async def _run(self, seen: ResourceSeen, run: TrainingRunResource, children: Children) -> Look[TrainingRunStatus]:
        facts = await self._facts.of_run(run, children)
        around = self._around()
        try:
            plan = plan_run(run, children, facts, around)
        except FrozenConfigError as error:
            plan = troubled(run.status, run.metadata.generation, children, _frozen(error), around.now)
        return _look(seen, run, run.status, children, plan)

    async def _evaluation(
        self, seen: ResourceSeen, evaluation: EvaluationResource, children: Children
    ) -> Look[EvaluationStatus]:
        facts = await self._facts.of_evaluation(evaluation, children)
        around = self._around()
        status = evaluation.status
        try:
            plan = plan_evaluation(evaluation, children, facts, around)
        except FrozenConfigError as error:
            plan = troubled(status, evaluation.metadata.generation, children, _frozen(error), around.now)
        return _look(seen, evaluation, status, children, plan, measured_run(evaluation))


def _look(
    seen: ResourceSeen,
    resource: Resource,
    before: Status,
    children: Children,
    plan: Plan[Status],
    depends_on: Key | None = None,
) -> Look[Status]:
    meta = resource.metadata
    return Look(seen, meta.generation, meta.resource_version, before, children, plan, depends_on)


def _frozen(error: FrozenConfigError) -> Trouble:
    return Trouble("FrozenConfigUnreadable", str(error), again_in=60.0)


def _unreadable(
    seen: ResourceSeen, document: dict[str, Any], children: Children, error: ManifestError, now: datetime
) -> AnyLook:
    if all(problem.field.startswith("status") for problem in error.problems):
        raise UnreadableStatusError(str(error)) from error
    model = _STATUSES[seen.key.kind]
    try:
        before = model.model_validate(document["status"])
    except ValidationError:
        before = model()
    meta = document["metadata"]
    generation = meta.get("generation")
    if isinstance(before, TrainingRunStatus):
        plan = invalid(before, generation, children, error, now)
        return Look(seen, generation, meta["resourceVersion"], before, children, plan)
    evaluation_plan = invalid(before, generation, children, error, now)
    return Look(seen, generation, meta["resourceVersion"], before, children, evaluation_plan)
