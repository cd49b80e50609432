"""A run whose trainer is there: how it starts, and what its progress shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepcoder_api.lifecycle import ScoredCheckpoint, ScoredStep, StageAdvance
from tests.operator_builders import (
    ROOT,
    RUN_OWNER,
    conditions_of,
    deleted,
    pod,
    progress,
    waits,
)
from tests.operator_world import run_world


def test_the_first_attempt_waits_for_its_trainer() -> None:
    """Until the orchestrator says that it trains, the run starts; what it says is shown."""
    world = run_world("started")
    world.run_facts = replace(world.run_facts, progress=progress(state="waiting_for_rollout", step=0, message="wait"))
    plan = world.look()
    assert (plan.status.phase, plan.status.message, plan.status.attempt) == ("Starting", "wait", 1)
    assert plan.again_in == 5.0


@pytest.mark.parametrize("state", ["training", "checkpointing", "done"])
def test_progress_is_shown(state: str) -> None:
    """All that the orchestrator tells, and when the last step should be done."""
    world = run_world("started")
    told = progress(
        state=state, checkpoint_uri=f"{ROOT}/checkpoints/step-000002", checkpoint_step=2,
        checkpoint_time="2026-03-01T11:59:00Z",
    )  # fmt: skip
    world.run_facts = replace(world.run_facts, progress=told)
    status = world.look().status
    assert status.phase == "Training"
    assert (status.stage, status.step, status.total_steps, status.policy_version) == ("short", 2, 5, 2)
    assert (status.reward, status.truncated_fraction, status.tokens_per_second) == (0.5, 0.25, 100.0)
    assert status.estimated_completion == "2026-03-01T12:00:30Z"
    checkpoint = status.last_checkpoint
    assert (checkpoint.uri, checkpoint.step) == (f"{ROOT}/checkpoints/step-000002", 2)
    assert checkpoint.time == "2026-03-01T11:59:00Z"


def test_the_newest_validation_and_the_best_checkpoint_are_shown() -> None:
    """And stay while no pod answers."""
    world = run_world("training")
    best = ScoredCheckpoint(uri=f"{ROOT}/checkpoints/step-000002", step=2, score=0.75)
    told = progress(validation=ScoredStep(step=4, score=0.5), best_checkpoint=best)
    world.run_facts = replace(world.run_facts, progress=told)
    status = world.look().status
    assert (status.validation.step, status.validation.score) == (4, 0.5)
    assert (status.best_checkpoint.uri, status.best_checkpoint.step, status.best_checkpoint.score) == (
        best.uri,
        2,
        0.75,
    )
    world.resource = world.resource.model_copy(update={"status": status})
    world.run_facts = replace(world.run_facts, progress=None)
    assert world.look().status.best_checkpoint == status.best_checkpoint


def test_a_stage_that_ended_early_is_shown_and_stays() -> None:
    """The steps that are left count from then on, while no pod answers too."""
    world = run_world("training")
    advance = StageAdvance(stage="short", step=2, reason="reward 0.9 over the last 2 steps, above 0.8")
    world.run_facts = replace(world.run_facts, progress=progress(total_steps=4, advances=(advance,)))
    status = world.look().status
    assert status.total_steps == 4
    assert [(one.stage, one.step, one.reason) for one in status.advances] == [("short", 2, advance.reason)]
    world.resource = world.resource.model_copy(update={"status": status})
    world.run_facts = replace(world.run_facts, progress=None)
    again = world.look().status
    assert (again.total_steps, again.advances) == (4, status.advances)


def test_what_the_guards_find_is_a_condition_until_it_is_gone() -> None:
    """Healthy is False for the gravest one's reason, with all that was found."""
    world = run_world("training")
    world.run_facts = replace(world.run_facts, progress=progress(warnings=("NoSignal: none", "AnswersRepeat: 30%")))
    plan = world.look()
    assert conditions_of(plan)["Healthy"] == ("False", "NoSignal")
    assert "NoSignal: none; AnswersRepeat: 30%" in [item.message for item in plan.status.conditions]
    assert plan.status.phase == "Training"
    world.run_facts = replace(world.run_facts, progress=progress())
    assert conditions_of(world.look())["Healthy"] == ("True", "NoWarnings")


def test_a_stage_change_shows() -> None:
    """The stage under way is the orchestrator's word."""
    world = run_world("training")
    world.run_facts = replace(world.run_facts, progress=progress(stage="long", step=3))
    status = world.look().status
    assert (status.stage, status.step, status.phase) == ("long", 3, "Training")


def test_no_answer_leaves_what_was_known() -> None:
    """A look without progress changes neither phase nor figures, and Ready stays."""
    world = run_world("training")
    world.run_facts = replace(world.run_facts, progress=None, seconds_without_progress=60.0)
    plan = world.look()
    assert (plan.status.phase, plan.status.step, plan.status.reward) == ("Training", 2, 0.5)
    assert conditions_of(plan)["Ready"] == ("True", "Training")


def test_a_silent_orchestrator_shows_after_a_minute() -> None:
    """The message says a minute, not how many seconds: a status is not written at every look."""
    world = run_world("training")
    messages: set[str] = set()
    for silent in (61.0, 66.0, 300.0):
        world.run_facts = replace(world.run_facts, progress=None, seconds_without_progress=silent)
        plan = world.look()
        messages.add(plan.status.message)
        assert plan.status.phase == "Training"
        assert conditions_of(plan)["Ready"] == ("False", "NoProgress")
    assert messages == {"the orchestrator has not answered for a minute"}


def test_training_without_any_rollout_server_says_so() -> None:
    """The orchestrator waits, and the cluster says for what."""
    world = run_world("training")
    world.see(pod("rollout", unschedulable="0/4 nodes are available: 4 Insufficient nvidia.com/gpu."))
    world.run_facts = replace(world.run_facts, progress=progress(state="waiting_for_rollout"))
    plan = world.look()
    assert plan.status.phase == "Training"
    assert "Insufficient nvidia.com/gpu" in plan.status.message
    assert conditions_of(plan)["Ready"] == ("False", "RolloutWaiting")
    world.see(pod("rollout", ready=True))
    assert conditions_of(world.look())["Ready"] == ("True", "Training")


def test_rollout_servers_are_counted_for_the_scale_subresource() -> None:
    """Pods there, pods ready, and the selector of an autoscaler."""
    world = run_world("training")
    rollout = next(item for item in world.children.deployments if item.role == "rollout")
    world.see(replace(rollout, there=3, ready=2))
    shown = world.look().status.rollout
    assert (shown.replicas, shown.ready_replicas) == (3, 2)
    assert shown.selector == f"deepcoder.dev/owner-uid={RUN_OWNER.uid},deepcoder.dev/role=rollout"


def test_pods_that_wait_are_named_while_the_run_starts() -> None:
    """Trainer and rollout alike; a pod that is being deleted is not waited for."""
    world = run_world("started")
    world.see(pod("rollout", terminating=True, unschedulable="0/1 nodes"))
    assert world.look().status.message == "starting rollout and trainer"
    world.see(pod("trainer", 1, unschedulable="0/1 nodes are available: 1 Insufficient cpu."))
    plan = world.look()
    assert plan.status.message == (
        "pod tiny-tr-trainer-1-0-x cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu."
    )
    assert conditions_of(plan)["Ready"] == ("False", "PodsWaiting")


@pytest.mark.parametrize("role", ["trainer", "rollout"])
def test_an_image_that_cannot_be_pulled_ends_the_run(role: str) -> None:
    """After its grace: nothing heals it, so nothing is tried again."""
    world = run_world("started")
    waiting = waits("ImagePullBackOff", f'Back-off pulling image "registry/{role}:1": not found', role)
    world.see(pod(role, 1 if role == "trainer" else 0, **waiting))
    world.seconds = 89
    assert world.look().status.phase == "Starting"
    world.seconds = 90
    plan = world.look()
    assert plan.status.phase == "Failed"
    assert conditions_of(plan)["Failed"] == ("True", "ImageNotFound")
    assert "Job tiny-tr-trainer-1" in deleted(plan)
