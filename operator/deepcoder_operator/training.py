"""The attempts of a run: starting one, watching it, judging its end, starting the next or ending the run. No I/O.

An attempt is judged once: the judgement stands in status.failure with the attempt's number, and is written before the
next attempt is made. A number is never used twice: it is the largest of the status and of the Jobs, plus one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from deepcoder_api.artifacts import RunPaths
from deepcoder_api.lifecycle import Progress, StageAdvance, TerminationMessage
from deepcoder_api.training_run import (
    BestCheckpointStatus,
    CheckpointStatus,
    ModelStatus,
    RolloutStatus,
    StageAdvanceStatus,
    TrainingRunStatus,
    ValidationStatus,
)
from deepcoder_operator import objects, run_objects
from deepcoder_operator.draft import Draft, rfc3339
from deepcoder_operator.endings import OUT_OF_MEMORY, cannot_start, failure_of, message_of, waiting_for
from deepcoder_operator.observed import JobSeen
from deepcoder_operator.plan import Create, Delete, Failure, Select, missing
from deepcoder_operator.projection import parse_time
from deepcoder_operator.run_context import RunContext, RunPlan

PROGRESS_SECONDS = 5.0
SILENCE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 60.0
# Logs of so many past attempts stay on the cluster.
KEPT_ATTEMPTS = 3


def finished(context: RunContext) -> RunPlan | None:
    """The good end, which holds whatever else went wrong meanwhile: a deadline, a server."""
    attempt = _newest_attempt(context)
    job = _job_of(context, attempt)
    return _succeed(context, job) if job is not None and job.complete else None


def train(context: RunContext) -> RunPlan:
    """Where the trainer stands, and what follows. The dataset is there."""
    rollout_status(context)
    attempt = _newest_attempt(context)
    if attempt == 0:
        return _start(context, 1)
    judged = context.run.status.failure
    if judged is not None and judged.attempt == attempt:
        return _start_after_pause(context, attempt)
    job = _job_of(context, attempt)
    failure = _end_of(context, job, attempt)
    if failure is not None:
        return _judge(context, attempt, job, failure)
    return _live(context, attempt)


def _newest_attempt(context: RunContext) -> int:
    # Jobs that are being deleted count: their number is used.
    jobs = [job.attempt for job in context.children.jobs if job.role == "trainer"]
    return max([context.run.status.attempt or 0, *jobs])


def _job_of(context: RunContext, attempt: int) -> JobSeen | None:
    return next((job for job in context.children.jobs_of("trainer") if job.attempt == attempt), None)


def _start(context: RunContext, attempt: int) -> RunPlan:
    draft, dataset = context.draft, context.run.status.dataset or ""
    _services(context, attempt)
    draft.actions += [
        Delete("Job", job.name, job.uid)
        for job in context.children.jobs_of("trainer")
        if job.attempt <= attempt - KEPT_ATTEMPTS or not (job.failed or job.complete)
    ]
    draft.actions.append(Create(run_objects.trainer_job(context.owner, context.frozen, attempt, dataset)))
    draft.set(attempt=attempt, restarts=context.run.status.restarts or 0)
    draft.phase("Starting", "starting rollout and trainer" if attempt == 1 else f"starting attempt {attempt}")
    return draft.plan(PROGRESS_SECONDS)


def _services(context: RunContext, attempt: int) -> None:
    """The Services of this attempt, and of no other."""
    owner, draft, children = context.owner, context.draft, context.children
    draft.actions += missing(children, run_objects.attempt_services(owner, attempt))
    for named in children.named:
        if named.kind != "Service" or named.terminating:
            continue
        if named.name == owner.child("orchestrator") and named.attempt != attempt:
            draft.actions.append(Select(named.name, named.uid, objects.orchestrator_selector(owner, attempt)))
        elif named.name.startswith(owner.child("trainer-")) and named.attempt != attempt:
            draft.actions.append(Delete(named.kind, named.name, named.uid))


def _start_after_pause(context: RunContext, attempt: int) -> RunPlan:
    status, now = context.run.status, context.around.now
    assert status.failure is not None
    judged_at = parse_time(status.failure.time) or now
    taken = context.draft.is_true("Disrupted")
    pause = 0.0 if taken else min(LONGEST_PAUSE_SECONDS, 2.0 ** min(status.restarts or 0, 6))
    left = (judged_at + timedelta(seconds=pause) - now).total_seconds()
    if left > 0:
        return context.draft.plan(left)
    return _start(context, attempt + 1)


def _end_of(context: RunContext, job: JobSeen | None, attempt: int) -> Failure | None:
    pods = context.children.pods_of("trainer", attempt)
    if job is None:
        return Failure("JobDeleted", f"the trainer Job of attempt {attempt} was deleted", heals="free")
    if job.failed:
        return failure_of(pods, f"Job {job.name}")
    if any(pod.terminating or pod.disrupted for pod in pods):
        # All pods of an attempt end together: one that is taken away ends it now, not when the last has noticed.
        return failure_of(pods, f"Job {job.name}")
    return cannot_start(pods, context.secrets, context.around.now)


def _judge(context: RunContext, attempt: int, job: JobSeen | None, failure: Failure) -> RunPlan:
    status, draft = context.run.status, context.draft
    restarts = (status.restarts or 0) + (failure.heals == "retry")
    twice = failure.reason == OUT_OF_MEMORY and _last_reason(status) == OUT_OF_MEMORY
    if failure.heals == "never" or twice:
        return draft.fail(failure, attempt)
    most = context.run.spec.failure_policy.max_restarts
    if restarts > most:
        cause = f"{failure.cause} (spec.failurePolicy.maxRestarts: {most} is used up)"
        return draft.fail(replace(failure, cause=cause), attempt)
    draft.failure(failure, attempt)
    draft.set(attempt=attempt, restarts=restarts)
    draft.condition("Disrupted", "True" if failure.heals == "free" else "False", failure.reason, failure.cause)
    draft.phase("Starting", f"attempt {attempt} ended: {failure.cause}", reason="Restarting")
    if job is not None and not job.failed:
        draft.actions.append(Delete("Job", job.name, job.uid))
    return draft.plan(again_in=0.0)


def _last_reason(status: TrainingRunStatus) -> str:
    return next((item.reason for item in status.conditions if item.type == "Disrupted"), "")


def _live(context: RunContext, attempt: int) -> RunPlan:
    draft, status, progress = context.draft, context.run.status, context.facts.progress
    draft.set(attempt=attempt, restarts=status.restarts or 0)
    _services(context, attempt)
    if progress is not None and progress.attempt != attempt:
        progress = None
    if progress is not None:
        _show(context, progress)
    begun = progress is not None and progress.state in ("training", "checkpointing", "done")
    if begun or (status.phase == "Training" and status.attempt == attempt):
        return _training(context, progress)
    return _starting(context, attempt, progress)


def _training(context: RunContext, progress: Progress | None) -> RunPlan:
    draft = context.draft
    if context.facts.seconds_without_progress > SILENCE_SECONDS:
        draft.phase("Training", "the orchestrator has not answered for a minute", reason="NoProgress")
        return draft.plan(PROGRESS_SECONDS)
    waiting = waiting_for(context.children.pods_of("rollout"), context.around.now)
    if waiting and progress is not None and progress.state == "waiting_for_rollout":
        return draft.wait("Training", "RolloutWaiting", f"waiting for a rollout server: {waiting}", PROGRESS_SECONDS)
    draft.phase("Training", "training", ready=True)
    return draft.plan(PROGRESS_SECONDS)


def _starting(context: RunContext, attempt: int, progress: Progress | None) -> RunPlan:
    draft, children, now = context.draft, context.children, context.around.now
    rollout = [pod for pod in children.pods_of("rollout") if not pod.terminating]
    stuck = None if any(pod.ready for pod in rollout) else cannot_start(rollout, context.secrets, now)
    if stuck:
        return draft.fail(stuck)
    if waiting := waiting_for([*children.pods_of("trainer", attempt), *rollout], now):
        return draft.wait("Starting", "PodsWaiting", waiting, PROGRESS_SECONDS)
    said = progress.message or progress.state.replace("_", " ") if progress else "starting rollout and trainer"
    draft.phase("Starting", said)
    return draft.plan(PROGRESS_SECONDS)


def _show(context: RunContext, progress: Progress) -> None:
    draft = context.draft
    draft.set(
        stage=progress.stage,
        step=progress.step,
        total_steps=progress.total_steps,
        advances=[_advance_status(one) for one in progress.advances],
        reward=progress.reward,
        truncated_fraction=progress.truncated_fraction,
        tokens_per_second=progress.tokens_per_second,
        policy_version=progress.policy_version,
    )
    _warn(context, progress)
    if progress.seconds_per_step is not None:
        left = timedelta(seconds=progress.seconds_per_step * (progress.total_steps - progress.step))
        draft.set(estimated_completion=rfc3339(context.around.now + left))
    if progress.checkpoint_uri is not None and progress.checkpoint_step is not None:
        draft.set(
            last_checkpoint=CheckpointStatus(
                uri=progress.checkpoint_uri, step=progress.checkpoint_step, time=progress.checkpoint_time
            )
        )
    _show_measured(draft, progress)


def _warn(context: RunContext, progress: Progress) -> None:
    """Healthy is False while the trainer's guards find something; its reason is the gravest one's name."""
    if progress.warnings:
        reason, _, _ = progress.warnings[0].partition(":")
        context.draft.condition("Healthy", "False", reason, "; ".join(progress.warnings)[:4096])
    elif progress.step > 0:
        context.draft.condition("Healthy", "True", "NoWarnings", "the guards find nothing wrong")


def _succeed(context: RunContext, job: JobSeen) -> RunPlan:
    run, draft = context.frozen.resource, context.draft
    message = message_of(context.children.pods_of("trainer", job.attempt), "trainer")
    paths = RunPaths(run.spec.storage.uri, run.namespace, run.name, run.uid)
    # Even when the pod is gone the last step is known: from the run, or, where a stage ended early, from its progress.
    step = (message.step if message is not None else None) or context.run.status.total_steps or run.total_steps
    last = paths.checkpoint(step)
    model = message.uri if message is not None and message.uri else f"{last}/model"
    draft.set(
        model=ModelStatus(uri=model),
        last_checkpoint=CheckpointStatus(uri=last, step=step, time=rfc3339(job.ended_at or context.around.now)),
        stage=run.spec.stages[-1].name,
        step=step,
        total_steps=step,
        policy_version=step,
        estimated_completion=None,
        attempt=job.attempt,
        rollout=RolloutStatus(selector=_selector(context)),
    )
    if message is not None:
        _show_end(context, message)
    return draft.succeed(f"the model lies at {model}")


def _show_end(context: RunContext, message: TerminationMessage) -> None:
    """What its progress came to after it was last asked."""
    draft, advances = context.draft, context.run.status.advances
    if message.reward is not None and message.truncated_fraction is not None:
        draft.set(reward=message.reward, truncated_fraction=message.truncated_fraction)
    if message.advance is not None and message.advance.stage not in [one.stage for one in advances]:
        draft.set(advances=[*advances, _advance_status(message.advance)])
    _show_measured(draft, message)


def _show_measured(draft: Draft[TrainingRunStatus], told: Progress | TerminationMessage) -> None:
    if told.validation is not None:
        draft.set(validation=ValidationStatus.model_validate(told.validation.model_dump()))
    if told.best_checkpoint is not None:
        draft.set(best_checkpoint=BestCheckpointStatus.model_validate(told.best_checkpoint.model_dump()))


def _advance_status(advance: StageAdvance) -> StageAdvanceStatus:
    return StageAdvanceStatus(stage=advance.stage, step=advance.step, reason=advance.reason[:1024])


def rollout_status(context: RunContext) -> None:
    """What the scale subresource shows of the rollout servers."""
    seen = context.children.deployment("rollout")
    if seen is not None:
        context.draft.set(
            rollout=RolloutStatus(replicas=seen.there, ready_replicas=seen.ready, selector=_selector(context))
        )


def _selector(context: RunContext) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(context.owner.selector("rollout").items()))
