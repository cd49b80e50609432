"""How the end of an attempt is judged, and when the next starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deepcoder_api.manifest import TrainingRunResource
from deepcoder_operator.plan import Delete, Plan, Select
from tests.operator_builders import (
    after,
    conditions_of,
    created,
    deleted,
    ends,
    job,
    pod,
    progress,
    says,
)
from tests.operator_world import World, run_world

Run = World[TrainingRunResource]
RETRYABLE = says("retryable", reason="RolloutLost", cause="no rollout server answered")


def end_attempt(world: Run, attempt: int, message: str = RETRYABLE, exit_code: int = 75, **how: Any) -> Plan[Any]:
    """The trainer pod of an attempt fails, its Job with it, and the operator looks."""
    world.change_job("trainer", attempt, failed=True)
    world.see(pod("trainer", attempt, **ends("trainer", exit_code, message, **how)))
    return world.look()


def start_next(world: Run) -> Plan[Any]:
    """The pause passes, and the operator looks."""
    world.seconds += 61
    return world.look()


def test_an_attempt_is_judged_before_the_next_is_made() -> None:
    """The judgement stands in the status, with all that the pods told, before anything follows from it."""
    world = run_world("training")
    plan = end_attempt(world, 1)
    assert created(plan) == []
    assert plan.again_in == 0.0
    status = plan.status
    assert (status.phase, status.attempt, status.restarts) == ("Starting", 1, 1)
    assert status.message == "attempt 1 ended: no rollout server answered"
    failure = status.failure
    assert (failure.attempt, failure.pod, failure.container, failure.exit_code, failure.cause) == (
        1, "tiny-tr-trainer-1-0-x", "trainer", 75, "no rollout server answered",
    )  # fmt: skip
    conditions = conditions_of(plan)
    assert conditions["Ready"] == ("False", "Restarting")
    assert conditions["Disrupted"] == ("False", "RolloutLost")
    assert "Stalled" not in conditions


def test_the_next_attempt_starts_after_a_pause() -> None:
    """Two seconds after the first failure; its own Service, the orchestrator's turned to it, the old Service gone."""
    world = run_world("training")
    end_attempt(world, 1)
    plan = world.look()
    assert (plan.actions, plan.again_in) == ((), 2.0)
    world.seconds = 2
    plan = world.look()
    assert created(plan) == ["Service tiny-tr-trainer-2", "Job tiny-tr-trainer-2"]
    assert deleted(plan) == ["Service tiny-tr-trainer-1"]
    turned = [action.selector for action in plan.actions if isinstance(action, Select)]
    assert [selector["deepcoder.dev/attempt"] for selector in turned] == ["2"]
    assert (plan.status.attempt, plan.status.message) == (2, "starting attempt 2")
    assert world.plan().actions == ()


@pytest.mark.parametrize(("restarts", "pause"), [(1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (9, 60.0)])
def test_pauses_grow_to_a_minute(restarts: int, pause: float) -> None:
    """A cause that stays is not hammered."""
    world = run_world("training")
    world.resource = world.resource.model_copy(
        update={"status": world.resource.status.model_copy(update={"restarts": restarts - 1})}
    )
    end_attempt(world, 1)
    assert world.look().again_in == pause


@pytest.mark.parametrize(
    "taken",
    [
        {"terminating": True},
        {"disrupted": "Taint manager: deleting due to NoExecute taint"},
        {"terminating": True, **ends("trainer", 75, says("retryable", reason="Stopped", cause="asked to stop"))},
    ],
)
def test_a_trainer_pod_that_is_taken_away_costs_nothing(taken: dict[str, Any]) -> None:
    """It ends the attempt at once, the rest of its pods go, and the next starts without a pause."""
    world = run_world("training")
    world.see(pod("trainer", 1, **taken))
    plan = world.look()
    assert (plan.status.restarts, plan.status.attempt) == (0, 1)
    assert conditions_of(plan)["Disrupted"] == ("True", "PodTaken")
    assert [type(action) for action in plan.actions] == [Delete]
    assert deleted(plan) == ["Job tiny-tr-trainer-1"]
    world.children = replace(world.children, pods=())
    plan = world.look()
    assert created(plan) == ["Service tiny-tr-trainer-2", "Job tiny-tr-trainer-2"]


def test_a_trainer_job_that_was_deleted_costs_nothing() -> None:
    """Its number is used all the same."""
    world = run_world("training")
    world.children = replace(world.children, jobs=(), pods=())
    plan = world.look()
    assert conditions_of(plan)["Disrupted"] == ("True", "JobDeleted")
    assert plan.status.restarts == 0
    assert "Job tiny-tr-trainer-2" in created(world.look())


def test_a_trainer_job_that_is_being_deleted_has_ended() -> None:
    """The next attempt does not take its number, nor wait for its last pod."""
    world = run_world("training")
    world.change_job("trainer", terminating=True)
    assert conditions_of(world.look())["Disrupted"] == ("True", "JobDeleted")
    assert "Job tiny-tr-trainer-2" in created(world.look())


def test_a_number_is_never_used_twice() -> None:
    """The largest of the status and of the Jobs counts: also when the status was lost after a Job was made."""
    world = run_world("training")
    status = world.resource.status.model_copy(update={"attempt": None, "failure": None})
    world.resource = world.resource.model_copy(update={"status": status})
    world.see(job("trainer", 3, failed=True), pod("trainer", 3, **ends("trainer", 75, RETRYABLE)))
    plan = world.look()
    assert plan.status.failure.attempt == 3
    assert "Job tiny-tr-trainer-4" in created(start_next(world))


def test_what_cannot_heal_ends_the_run_at_once() -> None:
    """Exit 64: no other attempt, and the pods that serve go."""
    world = run_world("training")
    cause = "the checkpoint's digest does not match"
    plan = end_attempt(world, 1, says("permanent", reason="CheckpointCorrupt", cause=cause), 64)
    assert plan.status.phase == "Failed"
    assert plan.status.message == cause
    assert (plan.status.failure.attempt, plan.status.failure.exit_code) == (1, 64)
    assert conditions_of(plan)["Stalled"] == ("True", "CheckpointCorrupt")
    assert deleted(plan)[:2] == ["Deployment tiny-tr-sandbox", "Deployment tiny-tr-rollout"]


@pytest.mark.parametrize(("most", "attempts"), [(0, 1), (1, 2), (3, 4)])
def test_restarts_are_used_up(most: int, attempts: int) -> None:
    """maxRestarts counts new attempts: with none allowed, the first failure is the last."""
    world = run_world("training", failurePolicy={"maxRestarts": most})
    for attempt in range(1, attempts):
        assert end_attempt(world, attempt, "Traceback", 1).status.phase == "Starting"
        assert f"Job tiny-tr-trainer-{attempt + 1}" in created(start_next(world))
    plan = end_attempt(world, attempts, "Traceback\nValueError: no", 1)
    assert plan.status.phase == "Failed"
    assert plan.status.message.endswith(f"(spec.failurePolicy.maxRestarts: {most} is used up)")
    assert plan.status.restarts == most
    failure = plan.status.failure
    assert (failure.attempt, failure.exit_code, failure.log) == (attempts, 1, "Traceback\nValueError: no")


def test_preemptions_use_up_no_restarts() -> None:
    """Five nodes lost in a row, with no restart allowed: the run goes on."""
    world = run_world("training", failurePolicy={"maxRestarts": 0})
    for attempt in range(1, 6):
        world.see(pod("trainer", attempt, disrupted="preempted"))
        world.look()
        plan = world.look()
        assert f"Job tiny-tr-trainer-{attempt + 1}" in created(plan)
    assert plan.status.restarts == 0


def test_more_restarts_may_be_allowed_in_mid_run() -> None:
    """maxRestarts is read from the spec as it is now."""
    world = run_world("training", failurePolicy={"maxRestarts": 0})
    spec = world.resource.spec
    policy = spec.failure_policy.model_copy(update={"max_restarts": 1})
    world.resource = world.resource.model_copy(update={"spec": spec.model_copy(update={"failure_policy": policy})})
    assert end_attempt(world, 1).status.phase == "Starting"


def test_out_of_memory_twice_ends_the_run() -> None:
    """Once may be bad luck; the same limit is too small the second time, too."""
    world = run_world("training")
    assert end_attempt(world, 1, "", 137, reason="OOMKilled").status.phase == "Starting"
    start_next(world)
    plan = end_attempt(world, 2, "", 137, reason="OOMKilled")
    assert plan.status.phase == "Failed"
    assert conditions_of(plan)["Failed"] == ("True", "OutOfMemory")
    assert "used more memory than its limit" in plan.status.message


def test_out_of_memory_after_another_failure_is_tried_again() -> None:
    """Only two in a row show that the limit is too small."""
    world = run_world("training")
    end_attempt(world, 1, "", 137, reason="OOMKilled")
    start_next(world)
    end_attempt(world, 2)
    start_next(world)
    assert end_attempt(world, 3, "", 137, reason="OOMKilled").status.phase == "Starting"


def test_logs_of_the_last_attempts_stay() -> None:
    """Three Jobs, the newest with them; older ones go."""
    world = run_world("training")
    for attempt in range(1, 5):
        end_attempt(world, attempt)
        start_next(world)
    assert [item.attempt for item in world.children.jobs_of("trainer")] == [3, 4, 5]


def test_an_older_attempt_that_still_lives_is_ended_before_the_next() -> None:
    """Two attempts never run side by side, whatever happened to the deletion that was asked for."""
    world = run_world("training")
    world.see(pod("trainer", 1, disrupted="preempted"))
    world.look()
    world.see(job("trainer", 1))
    plan = world.look()
    assert "Job tiny-tr-trainer-1" in deleted(plan)
    assert "Job tiny-tr-trainer-2" in created(plan)


def test_the_next_attempt_trains_again() -> None:
    """Its progress is the run's; the failure of the past attempt stays to be read."""
    world = run_world("training")
    end_attempt(world, 1)
    start_next(world)
    world.see(pod("trainer", 2, phase="Running"))
    world.run_facts = replace(world.run_facts, progress=progress(attempt=2, step=3))
    plan = world.look()
    assert (plan.status.phase, plan.status.attempt, plan.status.step, plan.status.restarts) == ("Training", 2, 3, 1)
    assert conditions_of(plan)["Ready"] == ("True", "Training")
    assert plan.status.failure.attempt == 1


def test_success_forgets_failures() -> None:
    """A run that came through has no failure to show; its restarts are told."""
    world = run_world("training")
    end_attempt(world, 1)
    start_next(world)
    world.change_job("trainer", 2, complete=True, ended_at=after(100))
    status = world.look().status
    assert (status.phase, status.failure, status.restarts, status.attempt) == ("Succeeded", None, 1, 2)


def test_progress_of_an_older_attempt_is_not_shown() -> None:
    """An orchestrator that does not know of its end is not the run's."""
    world = run_world("training")
    end_attempt(world, 1)
    start_next(world)
    world.run_facts = replace(world.run_facts, progress=progress(attempt=1, step=4))
    plan = world.look()
    assert (plan.status.phase, plan.status.step, plan.status.attempt) == ("Starting", 2, 2)
