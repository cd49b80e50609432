"""What a plan is made of: actions on the cluster, and the status that goes with them. No I/O, no clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.training_run import TrainingRunStatus
from deepcoder_operator.frozen import Images
from deepcoder_operator.observed import Children

Status = TypeVar("Status", TrainingRunStatus, EvaluationStatus)
Document = dict[str, Any]
Heals = Literal["never", "retry", "free"]

# Objects that serve a run while it lives. Finished Jobs stay, for their logs; accounts and policies cost nothing.
_RELEASED_KINDS = ("Service", "PodDisruptionBudget")


@dataclass(frozen=True)
class Create:
    """Create this object, unless it is there already and this resource's own."""

    document: Document

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return self.document["kind"]

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.document["metadata"]["name"]


@dataclass(frozen=True)
class Delete:
    """Delete the object of this uid, its own children in the background."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class Scale:
    """Set a Deployment's replicas."""

    name: str
    uid: str
    replicas: int


@dataclass(frozen=True)
class Select:
    """Set a Service's selector."""

    name: str
    uid: str
    selector: Mapping[str, str]


Action = Create | Delete | Scale | Select


@dataclass(frozen=True)
class Plan(Generic[Status]):
    """What to do now, the status to write, and after how many seconds to look again without an event."""

    status: Status
    actions: tuple[Action, ...] = ()
    again_in: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why something ended. `heals`: never, by another try, or free (the cluster took the pod; nobody's fault)."""

    reason: str
    cause: str
    heals: Heals = "never"
    pod: str | None = None
    container: str | None = None
    exit_code: int | None = None
    log: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a plan needs beside the resource and its children. `images` are what a run that starts now is frozen to."""

    now: datetime
    operator_namespace: str
    images: Images


def missing(children: Children, documents: list[Document]) -> list[Action]:
    """Creations of those documents that are not there."""
    return [
        Create(document) for document in documents if not children.has(document["kind"], document["metadata"]["name"])
    ]


def release(children: Children) -> tuple[Action, ...]:
    """What an ended resource no longer needs: Deployments first, as they hold the GPUs."""
    actions: list[Action] = [
        Delete("Deployment", item.name, item.uid) for item in children.deployments if not item.terminating
    ]
    actions += [
        Delete("Job", job.name, job.uid) for job in children.jobs if not (job.terminating or job.complete or job.failed)
    ]
    actions += [
        Delete(item.kind, item.name, item.uid)
        for item in children.named
        if item.kind in _RELEASED_KINDS and not item.terminating
    ]
    return tuple(actions)
