"""A status being worked out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from deepcoder_api.training_run import TrainingRunStatus
from deepcoder_operator.draft import Draft, ended, rfc3339
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Create, Failure
from tests.operator_builders import NOW, after, conditions_of, deleted, deployment

SERVED = Children(deployments=(deployment("rollout"),))


def draft(
    status: TrainingRunStatus | None = None, seconds: float = 0.0, generation: int = 1
) -> Draft[TrainingRunStatus]:
    return Draft(status or TrainingRunStatus(), generation, after(seconds), SERVED)


def test_what_is_not_changed_stays() -> None:
    """A status is the last one with its changes."""
    work = draft(TrainingRunStatus(step=3, reward=0.5))
    work.set(step=4)
    status = work.plan().status
    assert (status.step, status.reward, status.observed_generation) == (4, 0.5, 1)


def test_the_start_is_kept() -> None:
    """From the first time that it is under way."""
    first = draft()
    first.begin()
    later = draft(first.plan().status, seconds=50)
    later.begin()
    assert later.plan().status.start_time == "2026-03-01T12:00:00Z"
    assert draft().plan().status.start_time is None


def test_waiting_is_not_stalled() -> None:
    """kstatus takes Stalled for failed; what waits may still come."""
    plan = draft().wait("Pending", "NoNode", "no node", 7.0)
    assert conditions_of(plan) == {"Ready": ("False", "NoNode")}
    assert (plan.status.message, plan.again_in) == ("no node", 7.0)


def test_a_failure_shows_in_every_condition_that_tools_read() -> None:
    """And what was collected to be made is not made; what serves is released."""
    work = draft(TrainingRunStatus(step=3))
    work.actions.append(Create({"kind": "Job", "metadata": {"name": "a"}}))
    work.look_by(after(60))
    plan = work.fail(Failure("Bad", "it is bad", "never", "pod", "trainer", 64, "x" * 9000), attempt=2)
    assert conditions_of(plan) == {
        "Complete": ("False", "Bad"),
        "Failed": ("True", "Bad"),
        "Ready": ("False", "Bad"),
        "Stalled": ("True", "Bad"),
    }
    status = plan.status
    assert (status.phase, status.message, status.step) == ("Failed", "it is bad", 3)
    assert status.completion_time == "2026-03-01T12:00:00Z"
    failure = status.failure
    assert failure is not None
    assert (failure.attempt, failure.pod, failure.container, failure.exit_code) == (2, "pod", "trainer", 64)
    assert len(failure.log) == 8192
    assert [type(action).__name__ for action in plan.actions] == ["Delete"]
    assert deleted(plan) == ["Deployment tiny-tr-rollout"]
    assert plan.again_in is None


def test_success_clears_the_failure() -> None:
    """Complete, Ready, and not Failed."""
    work = draft()
    work.failure(Failure("Once", "it was bad"))
    plan = work.succeed("done")
    assert plan.status.failure is None
    assert conditions_of(plan) == {
        "Complete": ("True", "Succeeded"),
        "Failed": ("False", "Succeeded"),
        "Ready": ("True", "Succeeded"),
    }


def test_long_messages_are_cut_to_what_the_schema_takes() -> None:
    """A status that the API server refuses would never be written."""
    plan = draft().fail(Failure("Bad", "c" * 5000))
    assert plan.status.failure is not None
    assert (len(plan.status.message), len(plan.status.failure.cause)) == (4096, 4096)


@pytest.mark.parametrize(("asked", "due", "again_in"), [(None, 60, 60), (5, 60, 5), (90, 60, 60), (None, -3, 0)])
def test_what_is_due_is_looked_at_in_time(asked: float | None, due: float, again_in: float) -> None:
    """The earlier of the two."""
    work = draft()
    work.look_by(after(due))
    assert work.plan(asked).again_in == again_in


def test_all_conditions_are_of_the_generation_that_was_looked_at() -> None:
    """Those that were not set again hold, too; their times stay."""
    first = draft()
    first.condition("PreflightPassed", "True", "Passed")
    plan = draft(first.plan().status, seconds=30, generation=2).plan()
    (condition,) = plan.status.conditions
    assert (condition.observed_generation, condition.last_transition_time) == (2, "2026-03-01T12:00:00Z")


def test_a_condition_that_changes_gets_a_new_time() -> None:
    """And one of a new reason does not."""
    status = draft().wait("Pending", "One", "a").status
    same = draft(status, 10).wait("Pending", "Two", "b").status.conditions[0]
    assert (same.reason, same.last_transition_time) == ("Two", "2026-03-01T12:00:00Z")
    work = draft(status, 10)
    work.phase("Training", "training", ready=True)
    assert work.plan().status.conditions[0].last_transition_time == "2026-03-01T12:00:10Z"


def test_what_has_ended_only_releases() -> None:
    """Nothing of the status but its generation changes."""
    status = draft().fail(Failure("Bad", "it is bad")).status
    plan = ended(status, 5, SERVED)
    assert plan.status.observed_generation == 5
    assert (plan.status.phase, plan.status.message, plan.status.failure) == ("Failed", "it is bad", status.failure)
    assert deleted(plan) == ["Deployment tiny-tr-rollout"]
    assert ended(status, 5, Children()).actions == ()


def test_times_are_written_as_kubernetes_does() -> None:
    """In UTC, without fractions."""
    moment = datetime(2026, 3, 1, 13, 0, 0, 999, tzinfo=timezone(timedelta(hours=1)))
    assert rfc3339(moment) == rfc3339(NOW) == "2026-03-01T12:00:00Z"
