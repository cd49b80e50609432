"""Which model an Evaluation measures: a URI of its own, or a checkpoint of a TrainingRun that may not be there yet."""

from __future__ import annotations

from dataclasses import dataclass

from deepcoder_api.artifacts import RunPaths
from deepcoder_api.evaluation import EvaluatedModel
from deepcoder_api.manifest import TrainingRunResource
from deepcoder_operator.plan import Failure


@dataclass(frozen=True)
class Found:
    """The model is there."""

    uri: str


@dataclass(frozen=True)
class Unavailable:
    """The model is not there yet (`waiting` says for what), or never will be (`failure`)."""

    reason: str
    waiting: str
    failure: Failure | None = None


def find_model(model: EvaluatedModel, run: TrainingRunResource | None) -> Found | Unavailable:
    """The model's place. `run` is the TrainingRun that the evaluation names, None when there is no such run."""
    if model.uri is not None:
        return Found(model.uri)
    if model.endpoint is not None:
        return Found(model.endpoint.url)
    assert model.training_run is not None
    name, choice = model.training_run.name, model.training_run.checkpoint
    if run is None:
        waiting = f'waiting for the TrainingRun "{name}" (spec.model.trainingRun.name), which is not there yet'
        return Unavailable("TrainingRunNotFound", waiting)
    return _of_step(choice.step, run) if choice.step is not None else _at_the_end(run, best=choice.best is not None)


def _at_the_end(run: TrainingRunResource, *, best: bool) -> Found | Unavailable:
    name, status = run.metadata.name, run.status
    if best and run.spec.validation is None:
        cause = f'spec.model.trainingRun.checkpoint.best: the TrainingRun "{name}" has no validation to choose one by'
        return Unavailable("NoSuchCheckpoint", cause, Failure("NoSuchCheckpoint", cause))
    if status.phase == "Succeeded" and best:
        if status.best_checkpoint is not None:
            return Found(f"{status.best_checkpoint.uri}/model")
        cause = f'spec.model.trainingRun.checkpoint.best: the status of the TrainingRun "{name}" names none'
        return Unavailable("NoSuchCheckpoint", cause, Failure("NoSuchCheckpoint", cause))
    if status.phase == "Succeeded" and status.model is not None:
        return Found(status.model.uri)
    if status.phase == "Failed":
        cause = f'the TrainingRun "{name}" has failed, so it has no last checkpoint: {status.message}'
        return Unavailable("TrainingRunFailed", cause, Failure("TrainingRunFailed", cause))
    return Unavailable("TrainingRunNotFinished", f'waiting for the TrainingRun "{name}" to succeed')


def _of_step(step: int, run: TrainingRunResource) -> Found | Unavailable:
    name, status = run.metadata.name, run.status
    every = run.spec.checkpoint.every_steps
    # A stage that ends early leaves fewer steps than planned, which the status tells as soon as it is known.
    total = status.total_steps or sum(stage.steps for stage in run.spec.stages)
    if step > total or (step % every and step != total):
        cause = (
            f'spec.model.trainingRun.checkpoint.step: {step}: the TrainingRun "{name}" writes a checkpoint every '
            f"{every} steps and at its last, {total}"
        )
        return Unavailable("NoSuchCheckpoint", cause, Failure("NoSuchCheckpoint", cause))
    written = status.last_checkpoint.step if status.last_checkpoint else 0
    if written >= step:
        meta = run.metadata
        paths = RunPaths(run.spec.storage.uri, meta.namespace, meta.name, meta.uid)
        return Found(f"{paths.checkpoint(step)}/model")
    if status.phase == "Failed":
        cause = f'the TrainingRun "{name}" has failed at step {status.step or 0}, before step {step}: {status.message}'
        return Unavailable("TrainingRunFailed", cause, Failure("TrainingRunFailed", cause))
    return Unavailable("CheckpointNotWritten", f'waiting for step {step} of the TrainingRun "{name}"')
