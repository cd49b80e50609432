"""Why pods ended or cannot start, read from what the kubelet reports and from our termination messages. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from deepcoder_api.lifecycle import EXIT_PERMANENT, TerminationMessage, parse_termination_message
from deepcoder_operator.observed import ContainerEnd, ContainerWait, PodSeen
from deepcoder_operator.plan import Failure

# A Secret or an image may be applied moments after the run, and a registry may hiccup: so long it may take to appear.
SECRET_GRACE = timedelta(seconds=20)
IMAGE_GRACE = timedelta(seconds=90)
# Volumes, the network and the container runtime are there sooner than this, or something is wrong with them.
BARE_GRACE = timedelta(seconds=30)
# A registry that does not answer says nothing of the image; it may be away for so long.
REGISTRY_GRACE = timedelta(minutes=15)
OUT_OF_MEMORY = "OutOfMemory"

_SECRET = re.compile(r'secret "(?P<name>[^"]+)" not found', re.IGNORECASE)
_SECRET_KEY = re.compile(r"couldn't find key (?P<key>\S+) in Secret (?:[^/\s]+/)?(?P<name>\S+)", re.IGNORECASE)
_CLAIM = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found', re.IGNORECASE)
_NO_IMAGE = re.compile(
    r"not found|manifest unknown|does not exist|denied|unauthorized|forbidden|authorization failed|invalid reference",
    re.IGNORECASE,
)
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ErrImageInspect")


def message_of(pods: Sequence[PodSeen], container: str) -> TerminationMessage | None:
    """The termination message of the first pod's container of that name that left one."""
    ends = [end for pod in pods for end in pod.ends if end.container == container]
    return next((message for end in ends if (message := parse_termination_message(end.message))), None)


def failure_of(pods: Sequence[PodSeen], what: str) -> Failure:
    """Why the pods of a Job ended: the first container that failed, unless the cluster took a pod away."""
    taken = [pod for pod in pods if pod.terminating or pod.disrupted]
    failed = [(end, pod) for pod in pods if pod not in taken for end in pod.ends if end.exit_code != 0]
    evicted = next((pod for pod in pods if pod.evicted), None)
    if evicted is not None:
        cause = f"pod {evicted.name} was evicted for what it used: {evicted.evicted}"
        return Failure("Evicted", cause, "retry", evicted.name)
    if failed:
        end, pod = min(failed, key=lambda pair: (pair[0].finished_at is None, pair[0].finished_at, pair[1].index))
        return _from_end(end, pod)
    if taken:
        pod = taken[0]
        return Failure(
            reason="PodTaken",
            cause=f"pod {pod.name} was taken away: {pod.disrupted or 'it was deleted'}",
            heals="free",
            pod=pod.name,
        )
    return Failure(reason="PodGone", cause=f"the pod of {what} is gone, and with it what it said", heals="free")


def _from_end(end: ContainerEnd, pod: PodSeen) -> Failure:
    message = parse_termination_message(end.message)
    if end.reason == "ContainerStatusUnknown":
        # What a kubelet writes that finds the container gone after its node was.
        return Failure("PodTaken", f"pod {pod.name} was lost with its node", "free", pod.name, end.container)
    if end.reason == "OOMKilled":
        cause = f"container {end.container} of pod {pod.name} used more memory than its limit and was killed"
        return Failure(OUT_OF_MEMORY, cause, "retry", pod.name, end.container, end.exit_code)
    if message is None:
        cause = f"container {end.container} of pod {pod.name} ended with exit code {end.exit_code}"
        cause += f" ({end.reason})" if end.reason not in ("", "Error") else ""
        heals = "never" if end.exit_code == EXIT_PERMANENT else "retry"
        return Failure("ContainerFailed", cause, heals, pod.name, end.container, end.exit_code, end.message)
    return Failure(
        reason=message.reason or "ContainerFailed",
        cause=message.cause or f"container {end.container} ended with exit code {end.exit_code}",
        heals="never" if message.outcome == "permanent" else "retry",
        pod=pod.name,
        container=end.container,
        exit_code=end.exit_code,
    )


def cannot_start(pods: Sequence[PodSeen], secrets: dict[str, str], now: datetime) -> Failure | None:
    """What keeps a pod from starting and will not heal by waiting longer.

    `secrets` maps a Secret's name to the field of the resource that names it.
    """
    for pod in pods:
        if pod.terminating:
            continue
        for wait in pod.waits:
            if failure := _cannot_start(pod, wait, secrets, now):
                return failure
        claim = _CLAIM.search(pod.unschedulable)
        if claim and now - (pod.created_at or now) >= SECRET_GRACE:
            cause = f'the PersistentVolumeClaim "{claim["name"]}" does not exist in this namespace'
            return Failure("ClaimNotFound", cause, "never", pod.name)
    return None


def waiting_for(pods: Sequence[PodSeen], now: datetime) -> str:
    """What pods wait for, for people; "" when nothing is known."""
    for pod in pods:
        if pod.terminating:
            continue
        if pod.unschedulable:
            return f"pod {pod.name} cannot be scheduled: {pod.unschedulable}"
        for wait in pod.waits:
            return f"container {wait.container} of pod {pod.name}: {wait.reason} {wait.message}".strip()
        if pod.bare_since and now - pod.bare_since >= BARE_GRACE:
            return (
                f"pod {pod.name} has a node that does not start it: its volumes, its network or the handler of its "
                f"RuntimeClass are not there; `kubectl describe pod {pod.name}` says which"
            )
    return ""


def _cannot_start(pod: PodSeen, wait: ContainerWait, secrets: dict[str, str], now: datetime) -> Failure | None:
    since = _waits_since(pod)
    waited = now - since if since else timedelta()
    if wait.reason == "CreateContainerConfigError" and waited >= SECRET_GRACE:
        return Failure(*_config_error(wait, secrets), "never", pod.name, wait.container)
    if wait.reason not in _IMAGE_REASONS:
        return None
    certain = wait.reason == "ErrImageNeverPull" or bool(_NO_IMAGE.search(wait.message))
    if wait.reason == "InvalidImageName" or waited >= (IMAGE_GRACE if certain else REGISTRY_GRACE):
        cause = f"the image of container {wait.container} cannot be pulled: {wait.message or wait.reason}"
        return Failure("ImageNotFound", cause, "never", pod.name, wait.container)
    return None


def _waits_since(pod: PodSeen) -> datetime | None:
    """Since when its next container could have started: on its node, and with the containers before it done."""
    moments = [pod.created_at, pod.scheduled_at, *(end.finished_at for end in pod.ends)]
    return max((moment for moment in moments if moment), default=None)


def _config_error(wait: ContainerWait, secrets: dict[str, str]) -> tuple[str, str]:
    if found := _SECRET.search(wait.message):
        name = found["name"]
        field = secrets.get(name, "")
        said = f'{field}: "{name}": ' if field else f'Secret "{name}": '
        return "SecretNotFound", f"{said}there is no such Secret in this namespace; create it and apply the run anew"
    if found := _SECRET_KEY.search(wait.message):
        name, key = found["name"], found["key"]
        field = secrets.get(name, "")
        said = f'{field}: "{name}": ' if field else f'Secret "{name}": '
        return "SecretKeyNotFound", f"{said}the Secret has no key {key}"
    return "ContainerConfigError", wait.message or wait.reason
