"""Which model an Evaluation measures, and when it is there."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.evaluation import EvaluatedModel
from deepcoder_operator.evaluated_model import Found, Unavailable, find_model
from tests.operator_builders import ROOT, training_run


def of_run(**checkpoint: Any) -> EvaluatedModel:
    return EvaluatedModel.model_validate({"trainingRun": {"name": "tiny", "checkpoint": checkpoint}})


def checkpoint_at(step: int) -> dict[str, Any]:
    return {"uri": f"{ROOT}/checkpoints/step-{step:06d}", "step": step}


def test_a_model_of_its_own_is_there() -> None:
    """Whether it really is, the preflight finds out."""
    assert find_model(EvaluatedModel(uri="hf://org/name"), None) == Found("hf://org/name")


def test_latest_is_the_default_and_the_model_of_the_run() -> None:
    """The run says where it lies."""
    run = training_run({"phase": "Succeeded", "model": {"uri": "s3://bucket/made/model"}})
    model = EvaluatedModel.model_validate({"trainingRun": {"name": "tiny"}})
    assert find_model(model, run) == find_model(of_run(latest={}), run) == Found("s3://bucket/made/model")


VALIDATION = {"everySteps": 2, "sources": [{"name": "held-out", "format": "jsonl", "uri": "s3://bucket/held.jsonl"}]}


def test_best_is_the_runs_best_checkpoint_at_its_end() -> None:
    """Until then another may become the best."""
    best = {"uri": "s3://bucket/made/step-000002", "step": 2, "score": 0.5}
    given = {"phase": "Training", "bestCheckpoint": best, "model": {"uri": "s3://bucket/made/step-000005/model"}}
    waiting = find_model(of_run(best={}), training_run(given, validation=VALIDATION))
    assert isinstance(waiting, Unavailable)
    assert (waiting.reason, waiting.failure) == ("TrainingRunNotFinished", None)
    ended = training_run({**given, "phase": "Succeeded"}, validation=VALIDATION)
    assert find_model(of_run(best={}), ended) == Found("s3://bucket/made/step-000002/model")
    nameless = find_model(of_run(best={}), training_run({"phase": "Succeeded"}, validation=VALIDATION))
    assert isinstance(nameless, Unavailable)
    assert nameless.failure is not None


def test_a_run_without_validation_has_no_best_checkpoint() -> None:
    """It never will: the evaluation fails and says why."""
    found = find_model(of_run(best={}), training_run({"phase": "Training"}))
    assert isinstance(found, Unavailable)
    assert found.failure is not None
    assert found.failure.reason == "NoSuchCheckpoint"
    assert 'the TrainingRun "tiny" has no validation to choose one by' in found.failure.cause


@pytest.mark.parametrize("phase", ["Pending", "Preparing", "Starting", "Training"])
def test_latest_waits_for_the_end(phase: str) -> None:
    """A checkpoint on the way is not the last one."""
    run = training_run({"phase": phase, "lastCheckpoint": checkpoint_at(4)})
    found = find_model(of_run(latest={}), run)
    assert isinstance(found, Unavailable)
    assert (found.reason, found.failure) == ("TrainingRunNotFinished", None)


@pytest.mark.parametrize(("written", "there"), [(None, False), (2, False), (4, True), (5, True)])
def test_a_step_is_there_once_its_checkpoint_is_written(written: int | None, there: bool) -> None:
    """In mid-run, too; the folder follows from the run's storage, name and uid."""
    run = training_run(
        {"phase": "Training", **({"lastCheckpoint": checkpoint_at(written)} if written else {})},
    )
    found = find_model(of_run(step=4), run)
    if there:
        assert found == Found(f"{ROOT}/checkpoints/step-000004/model")
    else:
        assert isinstance(found, Unavailable)
        assert (found.reason, found.failure) == ("CheckpointNotWritten", None)
        assert found.waiting == 'waiting for step 4 of the TrainingRun "tiny"'


@pytest.mark.parametrize("step", [1, 3, 6, 100])
def test_a_step_without_a_checkpoint_never_comes(step: int) -> None:
    """Checkpoints are written every second step and at the last, the fifth."""
    found = find_model(of_run(step=step), training_run({"phase": "Training"}))
    assert isinstance(found, Unavailable)
    assert found.failure is not None
    assert found.failure.cause == (
        f'spec.model.trainingRun.checkpoint.step: {step}: the TrainingRun "tiny" writes a checkpoint every 2 steps '
        "and at its last, 5"
    )


@pytest.mark.parametrize(("step", "comes"), [(2, True), (3, True), (4, False), (5, False)])
def test_a_step_that_a_run_no_longer_has_never_comes(step: int, comes: bool) -> None:
    """A stage ended early: the third step is now the last."""
    found = find_model(of_run(step=step), training_run({"phase": "Training", "totalSteps": 3}))
    assert isinstance(found, Unavailable)
    assert (found.failure is None) is comes


@pytest.mark.parametrize("step", [2, 4, 5])
def test_steps_with_a_checkpoint_may_come(step: int) -> None:
    """Every second one, and the last."""
    found = find_model(of_run(step=step), training_run({"phase": "Training"}))
    assert isinstance(found, Unavailable)
    assert found.failure is None


def test_a_step_that_a_failed_run_did_not_reach_never_comes() -> None:
    """The run's cause is told; a step that it did reach is there all the same."""
    run = training_run({"phase": "Failed", "step": 3, "message": "no", "lastCheckpoint": checkpoint_at(2)})
    found = find_model(of_run(step=4), run)
    assert isinstance(found, Unavailable)
    assert found.failure is not None
    assert found.failure.cause == 'the TrainingRun "tiny" has failed at step 3, before step 4: no'
    assert find_model(of_run(step=2), run) == Found(f"{ROOT}/checkpoints/step-000002/model")


def test_a_run_that_is_not_there_is_waited_for() -> None:
    """Both may be applied together, in any order."""
    found = find_model(of_run(step=2), None)
    assert isinstance(found, Unavailable)
    assert (found.reason, found.failure) == ("TrainingRunNotFound", None)
