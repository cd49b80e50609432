"""The gates that a run and an evaluation both pass before anything expensive starts. No I/O.

Each returns a Plan when the resource must stop there for now, or for good, and None when it may go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from deepcoder_api.lifecycle import EXIT_PERMANENT, parse_termination_message
from deepcoder_api.specification import SandboxSpec
from deepcoder_operator.draft import Draft
from deepcoder_operator.endings import cannot_start, waiting_for
from deepcoder_operator.observed import Children, PodSeen
from deepcoder_operator.plan import Create, Document, Failure, Plan, Scale, Status, release
from deepcoder_operator.projection import parse_time
from deepcoder_operator.trials import read_trial

# A RuntimeClass may be applied moments after the run.
RUNTIME_CLASS_GRACE = timedelta(seconds=20)
# A pod that its node does not start sends no event that would tell of it.
CHECK_SECONDS = 10.0


def within_deadline(
    draft: Draft[Status], started: str | None, seconds: int | None, now: datetime
) -> Plan[Status] | None:
    """spec.activeDeadlineSeconds."""
    begun = parse_time(started)
    if seconds is None or begun is None:
        return None
    deadline = begun + timedelta(seconds=seconds)
    if now < deadline:
        draft.look_by(deadline)
        return None
    cause = f"spec.activeDeadlineSeconds: {seconds}: it had not finished that long after {started}"
    return draft.fail(Failure("DeadlineExceeded", cause))


def suspended(draft: Draft[Status], children: Children) -> Plan[Status]:
    """spec.suspend: every pod goes. As with a Job, a deadline counts anew once the resource goes on."""
    draft.actions = list(release(children))
    draft.set(start_time=None)
    draft.condition("Suspended", "True", "Suspended", "spec.suspend is true")
    return draft.wait("Suspended", "Suspended", "suspended: nothing runs; spec.suspend: false goes on")


def resumed(draft: Draft[Status], *, suspend: bool) -> None:
    """A resource that was suspended and is no longer says so."""
    if not suspend and draft.is_true("Suspended"):
        draft.condition("Suspended", "False", "Resumed", "spec.suspend is false again")


def local_only(draft: Draft[Status], uris: Sequence[tuple[str, str | None]]) -> Plan[Status] | None:
    """file:// means a folder of the machine where `deepcoder run` is typed; pods have none."""
    for field, uri in uris:
        if uri and uri.startswith("file://"):
            allowed = "file:// is for local runs only; on a cluster use s3://, hf:// or, for a model, pvc://"
            return draft.fail(Failure("InvalidSpec", f'{field}: "{uri}": {allowed}'))
    return None


def runtime_class(
    draft: Draft[Status], sandbox: SandboxSpec, there: bool | None, created: str | None, now: datetime
) -> Plan[Status] | None:
    """The sandbox's RuntimeClass must be there before any pod is made. `there` None: not asked, not needed.

    Once the isolation was shown it is not asked again: what runs by then does not end because the class is replaced.
    """
    if there is not False or draft.is_true("IsolationVerified"):
        return None
    name = sandbox.runtime_class_name
    cause = (
        f'spec.sandbox.runtimeClassName: "{name}": there is no such RuntimeClass in the cluster. `kubectl get '
        "runtimeclass` lists what there is; with gVisor on the nodes, the chart's runtimeClass.create=true makes one "
        "for runsc"
    )
    age = now - (parse_time(created) or now)
    if age >= RUNTIME_CLASS_GRACE:
        return draft.fail(Failure("RuntimeClassNotFound", cause))
    return draft.wait("Pending", "RuntimeClassNotFound", cause, again_in=2.0)


def preflight(
    draft: Draft[Status], children: Children, secrets: dict[str, str], now: datetime, job: Document
) -> Plan[Status] | None:
    """The preflight Job has ended well once. `job` is the Job of its next try."""
    if draft.is_true("PreflightPassed"):
        return None
    trial = read_trial(children, "preflight", secrets, now)
    match trial.state:
        case "done":
            draft.condition("PreflightPassed", "True", "Passed", "model, bucket, key and data are there")
            return None
        case "failed":
            assert trial.failure is not None
            draft.condition("PreflightPassed", "False", trial.failure.reason, trial.failure.cause)
            return draft.fail(trial.failure)
        case "pause":
            return draft.wait("Pending", "PreflightRetrying", _again(trial.failure, "preflight"), trial.seconds)
        case "start":
            draft.actions.append(Create(job))
            draft.phase("Pending", "checking model, bucket, key and data")
            return draft.plan(CHECK_SECONDS)
        case "running":
            if trial.waiting:
                return draft.wait("Pending", "PreflightWaiting", trial.waiting, again_in=5.0)
            draft.phase("Pending", "checking model, bucket, key and data")
            return draft.plan(CHECK_SECONDS)


def deployed(draft: Draft[Status], children: Children, deployment: Document) -> None:
    """A Deployment is there, and of the size it should have."""
    name, replicas = deployment["metadata"]["name"], int(deployment["spec"]["replicas"])
    seen = next((item for item in children.deployments if item.name == name and not item.terminating), None)
    if seen is None:
        draft.actions.append(Create(deployment))
    elif seen.replicas != replicas:
        draft.actions.append(Scale(seen.name, seen.uid, replicas))


def sandbox(
    draft: Draft[Status], children: Children, deployment: Document, phase: str, now: datetime
) -> Plan[Status] | None:
    """The grading servers are there, and one has shown from inside that it is isolated."""
    deployed(draft, children, deployment)
    pods = [pod for pod in children.pods_of("sandbox") if not pod.terminating]
    if any(pod.ready for pod in pods):
        draft.condition(
            "IsolationVerified", "True", "CanaryPassed", "a program in the sandbox saw gVisor's kernel and no network"
        )
        return None
    if failure := _not_isolated(pods):
        draft.condition("IsolationVerified", "False", failure.reason, failure.cause)
        return draft.fail(failure)
    if draft.is_true("IsolationVerified"):
        # A pod that was shown to be isolated is away; the next one must show it again before it takes work.
        return None
    draft.condition("IsolationVerified", "Unknown", "CanaryPending", "no sandbox pod is ready yet")
    if stuck := cannot_start(pods, {}, now):
        return draft.fail(stuck)
    if waiting := waiting_for(pods, now):
        return draft.wait(phase, "SandboxWaiting", waiting, again_in=5.0)
    draft.phase(phase, "starting the sandbox and checking its isolation")
    return draft.plan(CHECK_SECONDS)


def _not_isolated(pods: Sequence[PodSeen]) -> Failure | None:
    for pod in pods:
        for end in pod.ends:
            message = parse_termination_message(end.message)
            if end.exit_code == EXIT_PERMANENT and message is not None:
                reason = message.reason or "IsolationFailed"
                return Failure(reason, message.cause, "never", pod.name, end.container, end.exit_code)
    return None


def _again(failure: Failure | None, what: str) -> str:
    return f"{what} is tried again: {failure.cause}" if failure else f"waiting to start the {what} Job"
