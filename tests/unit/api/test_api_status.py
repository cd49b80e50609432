"""Conditions: one of a type, and a transition time that moves only with the status."""

from __future__ import annotations

from deepcoder_api.status import Condition, is_true, with_condition

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def ready(status: str = "True", reason: str = "Training", at: str = EARLY) -> list[Condition]:
    """Conditions with Ready alone."""
    return [Condition.model_validate({"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": at})]


def test_a_first_condition() -> None:
    """It changed now."""
    (condition,) = with_condition([], "Ready", "True", "Training", "step 1", generation=3, now=LATE)
    assert condition == Condition(
        type="Ready",
        status="True",
        reason="Training",
        message="step 1",
        observed_generation=3,
        last_transition_time=LATE,
    )


def test_the_same_status_keeps_its_time() -> None:
    """A new reason or message is no transition."""
    (condition,) = with_condition(ready(), "Ready", "True", "Checkpointing", "…", generation=1, now=LATE)
    assert (condition.reason, condition.last_transition_time) == ("Checkpointing", EARLY)


def test_another_status_changes_the_time() -> None:
    """A transition is now."""
    (condition,) = with_condition(ready(), "Ready", "False", "Failed", "", generation=1, now=LATE)
    assert (condition.status, condition.last_transition_time) == ("False", LATE)


def test_other_conditions_stay_and_types_are_in_order() -> None:
    """One of each type, sorted, so that equal states are equal documents."""
    both = with_condition(ready(), "Complete", "False", "Training", "", generation=1, now=LATE)
    assert [condition.type for condition in both] == ["Complete", "Ready"]
    assert both[1] == ready()[0]


def test_a_message_is_cut_to_what_kubernetes_takes() -> None:
    """32,768 characters."""
    (condition,) = with_condition([], "Failed", "True", "Lost", "x" * 40000, generation=None, now=EARLY)
    assert len(condition.message) == 32768


def test_only_true_is_true() -> None:
    """Unknown, False and absent are not."""
    assert is_true(ready(), "Ready")
    assert not is_true(ready(status="Unknown"), "Ready")
    assert not is_true(ready(status="False"), "Ready")
    assert not is_true(ready(), "Complete")
