"""When a status is written, and what troubles make of it."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.field_errors import FieldError
from deepcoder_api.manifest import ManifestError
from deepcoder_api.status import Condition
from deepcoder_api.training_run import FailureStatus, TrainingRunStatus
from deepcoder_operator.carry_out import Trouble
from deepcoder_operator.observed import Children
from deepcoder_operator.status_writes import SECONDS_BETWEEN_PROGRESS, invalid, seconds_until_write, troubled
from tests.operator_builders import NOW, conditions_of, deleted, deployment


def _status(**changes: Any) -> TrainingRunStatus:
    return TrainingRunStatus(phase="Training", step=2, message="training").model_copy(update=changes)


def _ready(reason: str, message: str = "") -> list[Condition]:
    return [Condition(type="Ready", status="False", reason=reason, message=message, last_transition_time="t")]


def test_the_same_status_is_not_written() -> None:
    """A look that finds nothing new costs no request."""
    assert seconds_until_write(_status(), _status(), 1000.0) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": "Succeeded"},
        {"stage": "long"},
        {"attempt": 2},
        {"failure": FailureStatus(cause="a rank died")},
        {"conditions": _ready("NameConflict")},
        {"observed_generation": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_happened_is_written_at_once(changes: dict[str, Any]) -> None:
    """However short ago the last write was."""
    assert seconds_until_write(_status(), _status(**changes), 0.1) == 0.0


@pytest.mark.parametrize(
    "changes",
    [{"step": 3}, {"reward": 0.5}, {"message": "still training"}, {"estimated_completion": "later"}],
    ids=lambda changes: next(iter(changes)),
)
def test_numbers_that_move_are_written_every_quarter_of_a_minute(changes: dict[str, Any]) -> None:
    """A thousand runs that report every few seconds do not flood the API server."""
    assert seconds_until_write(_status(), _status(**changes), 4.0) == SECONDS_BETWEEN_PROGRESS - 4.0
    assert seconds_until_write(_status(), _status(**changes), SECONDS_BETWEEN_PROGRESS) == 0.0


def test_a_condition_whose_message_alone_moves_is_no_event() -> None:
    """Its reason says what happened."""
    before, after = _status(conditions=_ready("PodsWaiting", "a")), _status(conditions=_ready("PodsWaiting", "b"))
    assert seconds_until_write(before, after, 0.0) == SECONDS_BETWEEN_PROGRESS


def test_a_trouble_that_may_heal_leaves_the_phase_and_says_why() -> None:
    """The resource stands where it stood."""
    trouble = Trouble("NameConflict", "ConfigMap x is somebody else's", again_in=30.0)
    plan = troubled(_status(), 1, Children(), trouble, NOW)
    assert (plan.status.phase, plan.status.message, plan.again_in) == ("Training", trouble.message, 30.0)
    assert conditions_of(plan) == {"Ready": ("False", "NameConflict")}


def test_a_final_trouble_ends_the_resource_and_frees_what_runs() -> None:
    """What the API server refuses for ever is not asked again."""
    children = Children(deployments=(deployment("sandbox"),))
    plan = troubled(_status(), 1, children, Trouble("Refused", "no such quantity", final=True), NOW)
    assert plan.status.phase == "Failed"
    assert conditions_of(plan)["Failed"] == ("True", "Refused")
    assert deleted(plan) == ["Deployment tiny-tr-sandbox"]


def test_an_invalid_resource_fails_with_every_wrong_field() -> None:
    """One look at the status tells all there is to mend."""
    error = ManifestError([FieldError("spec.a", 1, "must be 2"), FieldError("spec.b", None, "a value is required")])
    plan = invalid(TrainingRunStatus(), 1, Children(), error, NOW)
    assert plan.status.message == "spec.a: 1: must be 2\nspec.b: a value is required"
    assert conditions_of(plan)["Failed"] == ("True", "InvalidSpec")
    assert plan.status.start_time is not None


def test_an_invalid_resource_that_has_ended_stays_as_it_is() -> None:
    """Its end is told once, with the time at which it came."""
    error = ManifestError([FieldError("spec.a", 1, "must be 2")])
    first = invalid(TrainingRunStatus(), 1, Children(), error, NOW).status
    assert invalid(first, 1, Children(), error, NOW.replace(year=2030)).status == first
