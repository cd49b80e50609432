"""From the API server's objects to what is kept of them (observed.py). No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from deepcoder_operator.labels import ATTEMPT, OWNER_UID, ROLE
from deepcoder_operator.objects import COMPLETION_INDEX
from deepcoder_operator.observed import ContainerEnd, ContainerWait, DeploymentSeen, JobSeen, Named, PodSeen

Body = Mapping[str, Any]

# What a kubelet or the control plane writes as a pod's own reason when the node, and not the program, ended it.
_LOST = ("Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting", "NodeAffinity", "UnexpectedAdmissionError")
# The kubelet's refusals of a pod that the scheduler gave it too late: OutOfcpu, OutOfmemory, OutOfnvidia.com/gpu.
_NO_ROOM = "OutOf"
# An eviction for what the pod itself wrote, such as: Usage of EmptyDir volume "work" exceeds the limit "1Gi".
_OVER_OWN_LIMIT = re.compile(r"exceed(s|ed) .*limit")
_STARTING = ("", "ContainerCreating", "PodInitializing")


def part(body: Body, *path: str) -> Body:
    """The mapping at `path`; empty where there is none."""
    here: Any = body
    for key in path:
        here = cast("Body", here).get(key) if isinstance(here, Mapping) else None
    return cast("Body", here) if isinstance(here, Mapping) else {}


def items(body: Body, key: str) -> list[Body]:
    """The list of mappings at `key`; empty where there is none."""
    return cast("list[Body]", body.get(key) or [])


def owner_uid(body: Body) -> str:
    """The uid of the TrainingRun or Evaluation that a child's label names."""
    return str(part(body, "metadata", "labels").get(OWNER_UID, ""))


def controller_uid(body: Body) -> str:
    """The uid of the object's controller; "" when it has none."""
    owners = items(part(body, "metadata"), "ownerReferences")
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def terminating(body: Body) -> bool:
    """Whether the object is being deleted."""
    return bool(part(body, "metadata").get("deletionTimestamp"))


def see_job(body: Body) -> JobSeen:
    """A Job's projection."""
    ends = {str(item["type"]): item for item in items(part(body, "status"), "conditions") if item["status"] == "True"}
    end = ends.get("Complete") or ends.get("Failed") or {}
    return JobSeen(
        name=_name(body),
        uid=_uid(body),
        role=_label(body, ROLE),
        attempt=_attempt(body),
        terminating=terminating(body),
        complete="Complete" in ends,
        failed="Failed" in ends,
        ended_at=parse_time(end.get("lastTransitionTime")),
        reason=_text(end, "reason"),
        message=_text(end, "message"),
    )


def see_deployment(body: Body) -> DeploymentSeen:
    """A Deployment's projection."""
    status = part(body, "status")
    return DeploymentSeen(
        name=_name(body),
        uid=_uid(body),
        role=_label(body, ROLE),
        replicas=int(part(body, "spec").get("replicas", 1)),
        ready=int(status.get("readyReplicas", 0)),
        there=int(status.get("replicas", 0)),
        terminating=terminating(body),
    )


def see_pod(body: Body) -> PodSeen:
    """A pod's projection."""
    status = part(body, "status")
    conditions = {str(item["type"]): item for item in items(status, "conditions")}
    scheduled = conditions.get("PodScheduled", {})
    containers = [*items(status, "initContainerStatuses"), *items(status, "containerStatuses")]
    return PodSeen(
        name=_name(body),
        uid=_uid(body),
        role=_label(body, ROLE),
        attempt=_attempt(body),
        index=int(_label(body, COMPLETION_INDEX) or 0),
        phase=_text(status, "phase") or "Pending",
        ready=conditions.get("Ready", {}).get("status") == "True",
        address=_text(status, "podIP"),
        created_at=parse_time(part(body, "metadata").get("creationTimestamp")),
        scheduled_at=parse_time(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        bare_since=_bare_since(status, conditions.get("PodReadyToStartContainers", {})),
        terminating=terminating(body),
        disrupted=_disruption(status, conditions.get("DisruptionTarget", {})),
        evicted=_text(status, "message") if _over_own_limit(status) else "",
        unschedulable=_text(scheduled, "message") if scheduled.get("reason") == "Unschedulable" else "",
        waits=tuple(wait for item in containers if (wait := _wait(item))),
        ends=tuple(end for item in containers if (end := _end(item))),
    )


def see_named(kind: str, body: Body) -> Named:
    """The projection of an object of which only the existence matters."""
    selected = part(body, "spec", "selector").get(ATTEMPT, 0) if kind == "Service" else 0
    return Named(kind=kind, name=_name(body), uid=_uid(body), terminating=terminating(body), attempt=int(selected))


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time of the API server."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _name(body: Body) -> str:
    return str(part(body, "metadata")["name"])


def _uid(body: Body) -> str:
    return str(part(body, "metadata")["uid"])


def _label(body: Body, name: str) -> str:
    return str(part(body, "metadata", "labels").get(name, ""))


def _attempt(body: Body) -> int:
    return int(_label(body, ATTEMPT) or 0)


def _text(body: Body, key: str) -> str:
    return str(body.get(key) or "")


def _disruption(status: Body, condition: Body) -> str:
    if _over_own_limit(status):
        return ""
    if condition.get("status") == "True":
        return _text(condition, "message") or _text(condition, "reason") or "disrupted"
    reason = _text(status, "reason")
    return _text(status, "message") or reason if reason in _LOST or reason.startswith(_NO_ROOM) else ""


def _bare_since(status: Body, condition: Body) -> datetime | None:
    # The condition is False also after the end, when the node has taken its sandbox down.
    bare = condition.get("status") == "False" and status.get("phase") == "Pending"
    return parse_time(condition.get("lastTransitionTime")) if bare else None


def _over_own_limit(status: Body) -> bool:
    return status.get("reason") == "Evicted" and bool(_OVER_OWN_LIMIT.search(_text(status, "message")))


def _wait(container: Body) -> ContainerWait | None:
    waiting = part(container, "state", "waiting")
    reason = _text(waiting, "reason")
    return None if reason in _STARTING else ContainerWait(container["name"], reason, _text(waiting, "message"))


def _end(container: Body) -> ContainerEnd | None:
    ended = part(container, "state", "terminated") or part(container, "lastState", "terminated")
    if not ended:
        return None
    return ContainerEnd(
        container=container["name"],
        exit_code=int(ended["exitCode"]),
        reason=_text(ended, "reason"),
        message=_text(ended, "message"),
        finished_at=parse_time(ended.get("finishedAt")),
    )
