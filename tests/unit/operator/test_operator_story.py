"""The Events that a change of status makes."""

from __future__ import annotations

from typing import Any

from deepcoder_api.status import Condition, ConditionStatus
from deepcoder_api.training_run import FailureStatus, TrainingRunStatus
from deepcoder_operator.story import Told, story


def _condition(type: str, status: ConditionStatus, reason: str, message: str = "") -> Condition:
    return Condition(type=type, status=status, reason=reason, message=message, last_transition_time="t")


def _status(phase: str, *conditions: Condition, **changes: Any) -> TrainingRunStatus:
    status = TrainingRunStatus(message=f"it is {phase}", conditions=list(conditions))
    return status.model_copy(update={"phase": phase, **changes})


PENDING = _status("Pending", _condition("Ready", "False", "Pending"))


def test_the_first_phase_is_told() -> None:
    """`kubectl describe` shows from the start that somebody cares."""
    assert story(TrainingRunStatus(), PENDING) == [Told("Normal", "Pending", "it is Pending")]


def test_a_status_that_moves_within_its_phase_tells_nothing() -> None:
    """Numbers are for the status; Events are for what happened."""
    training = _status("Training", _condition("Ready", "True", "Training"), step=1, stage="short")
    assert story(training, training.model_copy(update={"step": 2, "message": "on and on"})) == []


def test_a_gate_that_is_passed_is_told_with_its_message() -> None:
    """So that the reader sees what was verified."""
    passed = _status(
        "Pending", _condition("Ready", "False", "Pending"), _condition("IsolationVerified", "True", "C", "ok")
    )
    assert story(PENDING, passed) == [Told("Normal", "IsolationVerified", "ok")]
    assert story(passed, passed) == []


def test_what_a_guard_finds_is_a_warning_once() -> None:
    """While its numbers move nothing more is told; another finding is."""
    sound = _status("Training", _condition("Healthy", "True", "NoWarnings"))
    found = _status("Training", _condition("Healthy", "False", "NoSignal", "NoSignal: 10 steps"))
    later = _status("Training", _condition("Healthy", "False", "NoSignal", "NoSignal: 11 steps"))
    other = _status("Training", _condition("Healthy", "False", "AnswersRepeat", "AnswersRepeat: 30%"))
    assert story(sound, found) == [Told("Warning", "NoSignal", "NoSignal: 10 steps")]
    assert story(found, later) == []
    assert story(later, other) == [Told("Warning", "AnswersRepeat", "AnswersRepeat: 30%")]
    assert story(other, sound) == []


def test_what_stands_in_the_way_is_a_warning_once() -> None:
    """A wait is told when its reason comes up, and not again while it lasts."""
    waits = _status("Pending", _condition("Ready", "False", "NameConflict", "somebody else's"))
    assert story(PENDING, waits) == [Told("Warning", "NameConflict", "somebody else's")]
    longer = _status("Pending", _condition("Ready", "False", "NameConflict", "still somebody else's"))
    assert story(waits, longer) == []


def test_a_failed_attempt_and_the_next_are_told() -> None:
    """Restarts leave a trace that survives the status of the next attempt."""
    training = _status("Training", _condition("Ready", "True", "Training"), attempt=1)
    failure = FailureStatus(attempt=1, cause="a rank died")
    judged = _status("Starting", _condition("Ready", "False", "Restarting"), attempt=1, failure=failure)
    assert story(training, judged) == [
        Told("Warning", "AttemptEnded", "attempt 1 ended: a rank died"),
        Told("Normal", "Starting", "it is Starting"),
    ]
    started = judged.model_copy(update={"attempt": 2})
    assert story(judged, started) == [Told("Normal", "AttemptStarted", "attempt 2 starts")]


def test_a_stage_is_told_when_it_starts() -> None:
    """With the steps done before it."""
    ready = _condition("Ready", "True", "Training")
    short, long = _status("Training", ready, stage="short", step=2), _status("Training", ready, stage="long", step=3)
    assert story(short, long) == [Told("Normal", "StageStarted", "stage long starts at step 3")]


def test_a_failure_is_one_warning_with_its_reason() -> None:
    """The reason is the condition's, the note its cause, at most as long as an Event may be."""
    conditions = (_condition("Failed", "True", "BucketNotFound"), _condition("Ready", "False", "BucketNotFound"))
    failed = _status("Failed", *conditions, message="x" * 3000)
    assert story(PENDING, failed) == [Told("Warning", "BucketNotFound", "x" * 1024)]
