"""What to do next for an Evaluation: a pure function of it, its children, the run it measures, progress and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.lifecycle import EvaluationProgress, TerminationMessage
from deepcoder_api.manifest import EvaluationResource, TrainingRunResource
from deepcoder_api.processes import ENGINE_IMAGES
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_operator import evaluation_objects, gates
from deepcoder_operator.draft import ENDED, Draft, ended
from deepcoder_operator.endings import cannot_start, waiting_for
from deepcoder_operator.evaluated_model import Found, Unavailable, find_model
from deepcoder_operator.expiry import seconds_left, with_expiry
from deepcoder_operator.frozen import Frozen, config_map, read_frozen
from deepcoder_operator.labels import Owner
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Create, Delete, Failure, Plan, Surroundings, missing
from deepcoder_operator.trials import MOST_JOBS, Trial, read_trial

PROGRESS_SECONDS = 5.0
WAIT_SECONDS = 30.0

EvaluationPlan = Plan[EvaluationStatus]


@dataclass(frozen=True)
class EvaluationFacts:
    """What was learned about an evaluation besides its children. None: not asked, not there, or no answer."""

    runtime_class_there: bool | None = None
    progress: EvaluationProgress | None = None
    training_run: TrainingRunResource | None = None


@dataclass
class Context:
    """What every part of the plan reads, and the draft that it writes."""

    evaluation: EvaluationResource
    owner: Owner
    children: Children
    facts: EvaluationFacts
    around: Surroundings
    draft: Draft[EvaluationStatus]
    frozen: Frozen[ResolvedEvaluation]

    @property
    def secrets(self) -> dict[str, str]:
        """Names of Secrets, and the fields that name them."""
        spec = self.evaluation.spec
        endpoint = spec.model.endpoint
        named = {
            spec.storage.secret_name: "spec.storage.secretName",
            spec.model.secret_name: "spec.model.secretName",
            endpoint.secret_name if endpoint else None: "spec.model.endpoint.secretName",
        }
        return {name: field for name, field in named.items() if name}


def plan_evaluation(
    evaluation: EvaluationResource, children: Children, facts: EvaluationFacts, around: Surroundings
) -> EvaluationPlan:
    """The next actions and the status of `evaluation`. Raises FrozenConfigError when its ConfigMap cannot be read."""
    meta = evaluation.metadata
    owner = Owner("Evaluation", meta.namespace, meta.name, meta.uid)
    if evaluation.status.phase in ENDED:
        return _after_the_end(evaluation, owner, children, around)
    draft = Draft(evaluation.status, meta.generation, around.now, children)
    gates.resumed(draft, suspend=evaluation.spec.suspend)
    if evaluation.spec.suspend and children.config is None:
        return gates.suspended(draft, children)
    frozen = _frozen(evaluation, children, facts, around)
    if isinstance(frozen, Unavailable):
        if frozen.failure is not None:
            return draft.fail(frozen.failure)
        draft.phase("Waiting", frozen.waiting, reason=frozen.reason)
        return draft.plan(WAIT_SECONDS)
    context = Context(evaluation, owner, children, facts, around, draft, frozen)
    draft.begin()
    draft.set(model=frozen.resource.model_uri)
    parts: tuple[Callable[[Context], EvaluationPlan | None], ...] = (
        _finished,
        _suspended,
        _within_deadline,
        _fit_for_a_cluster,
        _engine_image,
        _runtime_class,
        _foundations,
        _preflight,
        _servers,
    )
    for part in parts:
        plan = part(context)
        if plan is not None:
            return plan
    return _evaluate(context)


def _frozen(
    evaluation: EvaluationResource, children: Children, facts: EvaluationFacts, around: Surroundings
) -> Frozen[ResolvedEvaluation] | Unavailable:
    if children.config:
        return read_frozen(ResolvedEvaluation, children.config)
    model = find_model(evaluation.spec.model, facts.training_run)
    if isinstance(model, Found):
        meta, endpoint = evaluation.metadata, evaluation.spec.model.endpoint
        resolved = ResolvedEvaluation(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            spec=evaluation.spec,
            model_uri=model.uri,
            model_name=endpoint.name if endpoint else meta.name,
        )
        return Frozen(resolved, around.images)
    return model


def _finished(context: Context) -> EvaluationPlan | None:
    """The good end, which holds whatever else went wrong meanwhile: a deadline, a server."""
    trial = read_trial(context.children, "evaluator", context.secrets, context.around.now)
    return _succeed(context, trial.message) if trial.state == "done" and trial.message is not None else None


def _suspended(context: Context) -> EvaluationPlan | None:
    return gates.suspended(context.draft, context.children) if context.evaluation.spec.suspend else None


def _within_deadline(context: Context) -> EvaluationPlan | None:
    # Waiting for a run's model does not count: the start is when that is there.
    started, seconds = context.evaluation.status.start_time, context.evaluation.spec.active_deadline_seconds
    return gates.within_deadline(context.draft, started, seconds, context.around.now)


def _fit_for_a_cluster(context: Context) -> EvaluationPlan | None:
    spec = context.evaluation.spec
    uris = [
        (f"spec.benchmarks[{index}].{field}", uri)
        for index, one in enumerate(spec.benchmarks)
        for field, uri in (("uri", one.uri), ("ratingsUri", one.ratings_uri), ("standingsUri", one.standings_uri))
    ]
    endpoint = spec.model.endpoint
    tokenizer = ("spec.model.endpoint.tokenizer", endpoint.tokenizer if endpoint else None)
    return gates.local_only(context.draft, [("spec.model.uri", spec.model.uri), tokenizer, *uris])


def _engine_image(context: Context) -> EvaluationPlan | None:
    spec = context.evaluation.spec
    kind = spec.engine.kind
    needed = spec.model.endpoint is None and spec.engine.pod.image is None
    if not needed or context.frozen.images.find(ENGINE_IMAGES[kind]):
        return None
    cause = (
        f'spec.engine.kind: "{kind}": the operator was given no image of it: set spec.engine.pod.image, or the '
        f"chart's images.engines.{kind}, to the one that its makers publish"
    )
    return context.draft.fail(Failure("EngineImageNotSet", cause))


def _runtime_class(context: Context) -> EvaluationPlan | None:
    created, there = context.evaluation.metadata.creation_timestamp, context.facts.runtime_class_there
    return gates.runtime_class(context.draft, context.evaluation.spec.sandbox, there, created, context.around.now)


def _foundations(context: Context) -> EvaluationPlan | None:
    frozen = config_map(context.owner, context.frozen.resource, context.frozen.images)
    spec = context.frozen.resource.spec
    documents = evaluation_objects.foundations(context.owner, context.around.operator_namespace, spec)
    context.draft.actions += missing(context.children, [frozen, *documents])
    return None


def _preflight(context: Context) -> EvaluationPlan | None:
    number = read_trial(context.children, "preflight", context.secrets, context.around.now).number
    job = evaluation_objects.preflight_job(context.owner, context.frozen, number)
    return gates.preflight(context.draft, context.children, context.secrets, context.around.now, job)


def _servers(context: Context) -> EvaluationPlan | None:
    draft, children, now = context.draft, context.children, context.around.now
    # The engine loads its model while the sandbox shows its isolation.
    serves = context.frozen.resource.spec.model.endpoint is None
    if serves:
        gates.deployed(draft, children, evaluation_objects.engine_deployment(context.owner, context.frozen))
    replicas = context.evaluation.spec.sandbox.replicas
    deployment = evaluation_objects.sandbox_deployment(context.owner, context.frozen, replicas)
    stopped = gates.sandbox(draft, children, deployment, "Starting", now)
    if stopped is not None or children.jobs_of("evaluator") or not serves:
        return stopped
    pods = [pod for pod in children.pods_of("engine") if not pod.terminating]
    if any(pod.ready for pod in pods):
        return None
    if stuck := cannot_start(pods, context.secrets, now):
        return draft.fail(stuck)
    if waiting := waiting_for(pods, now):
        return draft.wait("Starting", "EngineWaiting", waiting, PROGRESS_SECONDS)
    draft.phase("Starting", "starting the engine")
    return draft.plan()


def _evaluate(context: Context) -> EvaluationPlan:
    draft = context.draft
    trial = read_trial(context.children, "evaluator", context.secrets, context.around.now)
    match trial.state:
        case "failed":
            assert trial.failure is not None
            return draft.fail(trial.failure)
        case "pause":
            cause = trial.failure.cause if trial.failure else trial.waiting
            return draft.wait("Running", "EvaluatorRetrying", f"the evaluator is tried again: {cause}", trial.seconds)
        case "running":
            return _running(context, trial)
        case _:
            # Also for a Job that is done while its pod, and the scores with it, is gone.
            number = trial.number + 1 if trial.state == "done" else trial.number
            if number > MOST_JOBS:
                return draft.fail(Failure("EvaluatorFailed", "no evaluator Job has left its scores"))
            draft.actions.append(Create(evaluation_objects.evaluator_job(context.owner, context.frozen, number)))
            draft.phase("Running", "starting the evaluator")
            return draft.plan(PROGRESS_SECONDS)


def _running(context: Context, trial: Trial) -> EvaluationPlan:
    draft, progress = context.draft, context.facts.progress
    if trial.waiting:
        return draft.wait("Running", "EvaluatorWaiting", trial.waiting, PROGRESS_SECONDS)
    if progress is not None:
        draft.set(answered=progress.answered, total=progress.total)
    draft.phase("Running", "answering and grading", ready=True)
    return draft.plan(PROGRESS_SECONDS)


def _succeed(context: Context, message: TerminationMessage) -> EvaluationPlan:
    scores = list(message.scores or ())
    first = scores[0].pass_at_1 if scores else None
    total = context.evaluation.status.total
    lengths = scores[0].lengths if scores else []
    by_length = ", ".join(f"{one.tokens}: {one.pass_at_1:.3f}" for one in lengths) if len(lengths) > 1 else None
    context.draft.set(scores=scores, pass_at_1=first, pass_at_1_by_length=by_length, report=message.uri, answered=total)
    said = ", ".join(f"{score.name}: pass@1 {score.pass_at_1:.3f} over {score.problems} problems" for score in scores)
    if not context.evaluation.spec.serve or context.evaluation.spec.suspend:
        return context.draft.succeed(said or "done")
    address = evaluation_objects.served_at(context.owner)
    plan = context.draft.succeed(f"{said or 'done'}; {context.frozen.resource.model_name} is served at {address}")
    return _served(plan, context.evaluation, context.owner, context.children, context.around)


def _after_the_end(
    evaluation: EvaluationResource, owner: Owner, children: Children, around: Surroundings
) -> EvaluationPlan:
    """What is no longer needed goes; a model that is served stays up until it is suspended or its time is over."""
    spec, status = evaluation.spec, evaluation.status
    left = seconds_left(status.completion_time, spec.ttl_seconds_after_finished, around.now)
    plan = ended(status, evaluation.metadata.generation, children)
    if status.phase == "Succeeded" and spec.serve and not spec.suspend and left != 0:
        plan = _served(plan, evaluation, owner, children, around)
    return with_expiry(plan, children, left)


def _served(
    plan: EvaluationPlan, evaluation: EvaluationResource, owner: Owner, children: Children, around: Surroundings
) -> EvaluationPlan:
    """The plan of an evaluation that has ended well and whose engine stays up: it is not released, and made again."""
    kept = tuple(
        action for action in plan.actions if not (isinstance(action, Delete) and action.name == owner.child("engine"))
    )
    if not children.config:
        return replace(plan, actions=kept)
    frozen = read_frozen(ResolvedEvaluation, children.config)
    draft = Draft(evaluation.status, evaluation.metadata.generation, around.now, children)
    gates.deployed(draft, children, evaluation_objects.engine_deployment(owner, frozen))
    draft.actions += missing(children, [evaluation_objects.engine_service(owner)])
    return replace(plan, actions=(*kept, *draft.actions))
