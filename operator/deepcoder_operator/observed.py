"""What the operator keeps of the objects it owns: small projections, never the bodies. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A Job. `attempt` is the number in its name: of trainer pods a run's attempt, else a try."""

    name: str
    uid: str
    role: str
    attempt: int
    terminating: bool = False
    complete: bool = False
    failed: bool = False
    ended_at: datetime | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentSeen:
    """A Deployment."""

    name: str
    uid: str
    role: str
    replicas: int
    ready: int = 0
    there: int = 0
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How a container ended last."""

    container: str
    exit_code: int
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContainerWait:
    """Why a container does not run yet, when the kubelet says."""

    container: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod. `disrupted` says why the cluster took it, `evicted` why it was ended for what it did itself.

    `scheduled_at` is when it got its node, `bare_since` since when it is there without the node's network and runtime.
    """

    name: str
    uid: str
    role: str
    attempt: int = 0
    index: int = 0
    phase: str = "Pending"
    ready: bool = False
    address: str = ""
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    bare_since: datetime | None = None
    terminating: bool = False
    disrupted: str = ""
    evicted: str = ""
    unschedulable: str = ""
    waits: tuple[ContainerWait, ...] = ()
    ends: tuple[ContainerEnd, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """An object of which only the existence matters, and for a Service which attempt it selects."""

    kind: str
    name: str
    uid: str
    terminating: bool = False
    attempt: int = 0


@dataclass(frozen=True)
class Children:
    """All that a resource owns. `config` is the text of its frozen configuration, None until that is there."""

    jobs: tuple[JobSeen, ...] = ()
    deployments: tuple[DeploymentSeen, ...] = ()
    pods: tuple[PodSeen, ...] = ()
    named: tuple[Named, ...] = ()
    config: Mapping[str, str] | None = None

    def jobs_of(self, role: str) -> list[JobSeen]:
        """The Jobs of a role that are not being deleted, by number."""
        return sorted((job for job in self.jobs if job.role == role and not job.terminating), key=lambda j: j.attempt)

    def deployment(self, role: str) -> DeploymentSeen | None:
        """The Deployment of a role."""
        return next((item for item in self.deployments if item.role == role), None)

    def pods_of(self, role: str, attempt: int | None = None) -> list[PodSeen]:
        """The pods of a role, of one attempt if given, oldest index first."""
        pods = [pod for pod in self.pods if pod.role == role and (attempt is None or pod.attempt == attempt)]
        return sorted(pods, key=lambda pod: (pod.index, pod.name))

    def has(self, kind: str, name: str) -> bool:
        """Whether an object of this kind and name is there, and is not being deleted."""
        return any(item.kind == kind and item.name == name and not item.terminating for item in self._all_named())

    def _all_named(self) -> list[Named]:
        jobs = [Named("Job", job.name, job.uid, job.terminating) for job in self.jobs]
        deployments = [Named("Deployment", item.name, item.uid, item.terminating) for item in self.deployments]
        return [*self.named, *jobs, *deployments]
