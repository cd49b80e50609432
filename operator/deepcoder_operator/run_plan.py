"""What to do next for a TrainingRun: a pure function of the run, its children, its progress and the time.

Reads as a table of contents: each part below lets the run go on, or says where it stands.
"""

from __future__ import annotations

from collections.abc import Callable

from deepcoder_api.manifest import TrainingRunResource
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.training_run import TrainingRunStatus
from deepcoder_operator import gates, run_objects
from deepcoder_operator.draft import ENDED, Draft, ended
from deepcoder_operator.endings import cannot_start, waiting_for
from deepcoder_operator.frozen import Frozen, config_map, read_frozen
from deepcoder_operator.labels import Owner
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Create, Failure, Surroundings, missing
from deepcoder_operator.run_context import RunContext, RunFacts, RunPlan
from deepcoder_operator.training import finished, rollout_status, train
from deepcoder_operator.trials import MOST_JOBS, read_trial


def plan_run(run: TrainingRunResource, children: Children, facts: RunFacts, around: Surroundings) -> RunPlan:
    """The next actions and the status of `run`.

    Raises FrozenConfigError when its ConfigMap cannot be read, and SpecificationError when there is none yet and the
    values of the spec do not fit each other.
    """
    if run.status.phase in ENDED:
        return ended(_counted(run.status, children), run.metadata.generation, children)
    context = _context(run, children, facts, around)
    parts: tuple[Callable[[RunContext], RunPlan | None], ...] = (
        finished,
        _within_deadline,
        _fit_for_a_cluster,
        _runtime_class,
        _foundations,
        _preflight,
        _sandbox,
        _raters,
        _dataset,
        _rollout,
    )
    for part in parts:
        plan = part(context)
        if plan is not None:
            return plan
    return train(context)


def _counted(status: TrainingRunStatus, children: Children) -> TrainingRunStatus:
    """An ended run's rollout servers go; the scale subresource says how many are left."""
    if status.rollout is None:
        return status
    seen = children.deployment("rollout")
    left = {"replicas": seen.there if seen else 0, "ready_replicas": seen.ready if seen else 0}
    return status.model_copy(update={"rollout": status.rollout.model_copy(update=left)})


def _context(run: TrainingRunResource, children: Children, facts: RunFacts, around: Surroundings) -> RunContext:
    meta = run.metadata
    owner = Owner("TrainingRun", meta.namespace, meta.name, meta.uid)
    frozen = read_frozen(ResolvedRun, children.config) if children.config else Frozen(run.resolved(), around.images)
    draft = Draft(run.status, meta.generation, around.now, children)
    draft.begin()
    draft.set(total_steps=run.status.total_steps or frozen.resource.total_steps)
    return RunContext(run, owner, children, facts, around, draft, frozen)


def _within_deadline(context: RunContext) -> RunPlan | None:
    spec, created = context.run.spec, context.run.metadata.creation_timestamp
    return gates.within_deadline(context.draft, created, spec.active_deadline_seconds, context.around.now)


def _fit_for_a_cluster(context: RunContext) -> RunPlan | None:
    spec = context.run.spec
    sources = [(f"spec.data.sources[{index}].uri", source.uri) for index, source in enumerate(spec.data.sources)]
    apart = [(f"spec.data.decontaminate[{index}].uri", one.uri) for index, one in enumerate(spec.data.decontaminate)]
    validation = spec.validation.sources if spec.validation else []
    asked = [(f"spec.validation.sources[{index}].uri", one.uri) for index, one in enumerate(validation)]
    return gates.local_only(context.draft, [("spec.model.uri", spec.model.uri), *sources, *apart, *asked])


def _runtime_class(context: RunContext) -> RunPlan | None:
    created, there = context.run.metadata.creation_timestamp, context.facts.runtime_class_there
    return gates.runtime_class(context.draft, context.run.spec.sandbox, there, created, context.around.now)


def _foundations(context: RunContext) -> RunPlan | None:
    frozen = config_map(context.owner, context.frozen.resource, context.frozen.images)
    documents = run_objects.foundations(context.owner, context.frozen.resource, context.around.operator_namespace)
    context.draft.actions += missing(context.children, [frozen, *documents])
    return None


def _preflight(context: RunContext) -> RunPlan | None:
    number = read_trial(context.children, "preflight", context.secrets, context.around.now).number
    job = run_objects.preflight_job(context.owner, context.frozen, number)
    return gates.preflight(context.draft, context.children, context.secrets, context.around.now, job)


def _sandbox(context: RunContext) -> RunPlan | None:
    replicas = context.run.spec.sandbox.replicas
    deployment = run_objects.sandbox_deployment(context.owner, context.frozen, replicas)
    phase = "Preparing" if context.run.status.dataset is None else context.run.status.phase
    return gates.sandbox(context.draft, context.children, deployment, phase, context.around.now)


def _raters(context: RunContext) -> RunPlan | None:
    """Where problems are rated, the base model serves before there is a dataset, and reports to the prepare Job."""
    if context.run.status.dataset is None and context.frozen.resource.spec.data.difficulty is not None:
        _rollout(context)
        rollout_status(context)
        context.draft.actions += missing(context.children, [run_objects.preparation_service(context.owner)])
    return None


def _dataset(context: RunContext) -> RunPlan | None:
    draft, status = context.draft, context.run.status
    if status.dataset is not None:
        return None
    trial = read_trial(context.children, "prepare", context.secrets, context.around.now)
    match trial.state:
        case "done" if trial.message is not None and trial.message.uri:
            draft.set(dataset=trial.message.uri)
            draft.condition("DatasetReady", "True", "Prepared", trial.message.cause or trial.message.uri)
            draft.phase("Starting", "starting rollout and trainer")
            return draft.plan(again_in=0.0)
        case "failed":
            assert trial.failure is not None
            draft.condition("DatasetReady", "False", trial.failure.reason, trial.failure.cause)
            return draft.fail(trial.failure)
        case "pause":
            cause = trial.failure.cause if trial.failure else trial.waiting
            return draft.wait("Preparing", "PrepareRetrying", f"prepare is tried again: {cause}", trial.seconds)
        case "running":
            if trial.waiting:
                return draft.wait("Preparing", "PrepareWaiting", trial.waiting, again_in=5.0)
            return _preparing(context)
        case _:
            # Also for a Job that is done while its pod, and the place of the dataset with it, is gone.
            number = trial.number + 1 if trial.state == "done" else trial.number
            if number > MOST_JOBS:
                return draft.fail(Failure("PrepareFailed", "no prepare Job has said where the dataset lies"))
            draft.actions.append(Create(run_objects.prepare_job(context.owner, context.frozen, number)))
            draft.phase("Preparing", "reading and checking the problems")
            return draft.plan(gates.CHECK_SECONDS)


def _preparing(context: RunContext) -> RunPlan:
    """The prepare Job runs; where it rates problems, it may be waiting for a server that cannot start."""
    draft, now = context.draft, context.around.now
    pods = [pod for pod in context.children.pods_of("rollout") if not pod.terminating]
    if context.frozen.resource.spec.data.difficulty is not None and not any(pod.ready for pod in pods):
        if stuck := cannot_start(pods, context.secrets, now):
            return draft.fail(stuck)
        if waiting := waiting_for(pods, now):
            said = f"waiting for a rollout server to rate problems: {waiting}"
            return draft.wait("Preparing", "RolloutWaiting", said, again_in=5.0)
    draft.phase("Preparing", "reading and checking the problems")
    return draft.plan(gates.CHECK_SECONDS)


def _rollout(context: RunContext) -> RunPlan | None:
    replicas = context.run.spec.rollout.replicas
    deployment = run_objects.rollout_deployment(context.owner, context.frozen, replicas)
    gates.deployed(context.draft, context.children, deployment)
    return None
