"""What happened, told as Kubernetes Events, so that `kubectl describe` reads as the story of a run. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.status import Condition
from deepcoder_api.training_run import TrainingRunStatus
from deepcoder_operator.plan import Status

_PASSED = ("PreflightPassed", "IsolationVerified", "DatasetReady")
_LONGEST_NOTE = 1024
# The end of an attempt and these phases are told in full by themselves.
_RESTARTING = "Restarting"
_TOLD_WHOLE = ("Waiting", "Succeeded", "Failed")


@dataclass(frozen=True)
class Told:
    """One Event. `reason` is one word for machines, `note` a sentence for people."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


def story(before: Status, after: Status) -> list[Told]:
    """What is worth telling of the change from one written status to the next. Numbers that move are not."""
    told = [
        *_gates(before, after), *_attempts(before, after), *_guards(before, after), *_waits(before, after),
        *_phases(before, after),
    ]  # fmt: skip
    return [Told(item.type, item.reason, item.note[:_LONGEST_NOTE]) for item in told if item.note]


def _gates(before: Status, after: Status) -> list[Told]:
    passed = {item.type for item in before.conditions if item.status == "True"}
    return [
        Told("Normal", item.type, item.message or item.reason)
        for item in after.conditions
        if item.type in _PASSED and item.status == "True" and item.type not in passed
    ]


def _attempts(before: Status, after: Status) -> list[Told]:
    if not isinstance(before, TrainingRunStatus) or not isinstance(after, TrainingRunStatus):
        return []
    told: list[Told] = []
    failure = after.failure
    if failure is not None and failure.attempt is not None and failure != before.failure:
        told.append(Told("Warning", "AttemptEnded", f"attempt {failure.attempt} ended: {failure.cause}"))
    if after.attempt is not None and after.attempt != before.attempt:
        told.append(Told("Normal", "AttemptStarted", f"attempt {after.attempt} starts"))
    if after.stage is not None and after.stage != before.stage and after.phase == "Training":
        told.append(Told("Normal", "StageStarted", f"stage {after.stage} starts at step {after.step or 0}"))
    return told


def _guards(before: Status, after: Status) -> list[Told]:
    old, new = _condition(before, "Healthy"), _condition(after, "Healthy")
    if new is None or new.status != "False" or (old is not None and (old.status, old.reason) == ("False", new.reason)):
        return []
    return [Told("Warning", new.reason, new.message)]


def _waits(before: Status, after: Status) -> list[Told]:
    # Ready's reason is the phase's name while all goes its way, and else what stands in the way.
    old, new = _condition(before, "Ready"), _condition(after, "Ready")
    if new is None or new.status != "False" or new.reason in (after.phase, _RESTARTING) or after.phase in _TOLD_WHOLE:
        return []
    if old is not None and old.reason == new.reason:
        return []
    return [Told("Warning", new.reason, new.message)]


def _phases(before: Status, after: Status) -> list[Told]:
    # The first phase of a resource is news too; its status is empty before, with the default phase.
    if after.phase == before.phase and before.conditions:
        return []
    if after.phase != "Failed":
        return [Told("Normal", after.phase, after.message)]
    failed = _condition(after, "Failed")
    return [Told("Warning", failed.reason if failed else "Failed", after.message)]


def _condition(status: TrainingRunStatus | EvaluationStatus, type: str) -> Condition | None:
    return next((item for item in status.conditions if item.type == type), None)
