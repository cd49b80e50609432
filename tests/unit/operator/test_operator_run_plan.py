"""A TrainingRun from its creation to its end: what is made, in which phase, and what is never made twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepcoder_api.lifecycle import ScoredCheckpoint, ScoredStep, StageAdvance
from deepcoder_api.resolve import SpecificationError
from deepcoder_api.specification import kubernetes_form
from deepcoder_operator.frozen import FrozenConfigError, Images
from deepcoder_operator.observed import Children, ContainerWait, PodSeen
from deepcoder_operator.plan import Create, Select
from deepcoder_operator.run_context import RunFacts
from deepcoder_operator.run_plan import plan_run
from tests.operator_builders import (
    DATASET,
    IMAGES,
    ROOT,
    after,
    around,
    conditions_of,
    created,
    deleted,
    ends,
    pod,
    progress,
    says,
    training_run,
)
from tests.operator_world import run_world

STAGES = ["new", "checked", "isolated", "prepared", "started", "training"]


@pytest.mark.parametrize(
    ("stage", "phase", "message", "ready"),
    [
        ("new", "Pending", "checking model, bucket, key and data", "False"),
        ("checked", "Preparing", "starting the sandbox and checking its isolation", "False"),
        ("isolated", "Preparing", "reading and checking the problems", "False"),
        ("prepared", "Starting", "starting rollout and trainer", "False"),
        ("started", "Starting", "starting rollout and trainer", "False"),
        ("training", "Training", "training", "True"),
    ],
)
def test_each_stage_of_a_run_shows_its_phase(stage: str, phase: str, message: str, ready: str) -> None:
    """Phase, message and Ready say where the run stands; nothing is stalled on the good way."""
    status = run_world(stage).plan().status
    conditions = {item.type: item for item in status.conditions}
    assert (status.phase, status.message) == (phase, message)
    assert conditions["Ready"].status == ready
    assert "Stalled" not in conditions


def test_a_new_run_gets_its_foundations_and_its_preflight_and_nothing_expensive() -> None:
    """Accounts, policies, Services, budgets, the frozen configuration, one Job on CPU: no trainer, no rollout."""
    assert created(run_world().plan()) == [
        "ConfigMap tiny-tr-config",
        "ServiceAccount tiny-tr-pods",
        "ServiceAccount tiny-tr-sandbox",
        "NetworkPolicy tiny-tr-preflight",
        "NetworkPolicy tiny-tr-prepare",
        "NetworkPolicy tiny-tr-sandbox",
        "NetworkPolicy tiny-tr-rollout",
        "NetworkPolicy tiny-tr-trainer",
        "Service tiny-tr-sandbox",
        "PodDisruptionBudget tiny-tr-sandbox",
        "PodDisruptionBudget tiny-tr-rollout",
        "Job tiny-tr-preflight-1",
    ]


@pytest.mark.parametrize(
    ("stage", "made"),
    [
        ("checked", ["Deployment tiny-tr-sandbox"]),
        ("isolated", ["Job tiny-tr-prepare-1"]),
        (
            "started",
            [
                "Deployment tiny-tr-rollout",
                "Service tiny-tr-trainer-1",
                "Service tiny-tr-orchestrator",
                "Job tiny-tr-trainer-1",
            ],
        ),
    ],
)
def test_each_gate_opens_the_next_pods(stage: str, made: list[str]) -> None:
    """What a stage has that the one before had not, in the order in which it is created."""
    before = run_world(STAGES[STAGES.index(stage) - 1])
    if stage == "checked":
        before.settle()
        before.change_job("preflight", complete=True)
    elif stage == "isolated":
        before.see(pod("sandbox", ready=True))
    assert created(before.plan()) == made


@pytest.mark.parametrize("stage", STAGES)
def test_planning_again_with_what_was_created_does_nothing(stage: str) -> None:
    """Once settled, another look neither creates nor deletes nor scales, and writes the same status."""
    world = run_world(stage)
    settled = world.settle()
    again = world.plan()
    assert again.actions == ()
    assert kubernetes_form(again.status) == kubernetes_form(settled.status)


@pytest.mark.parametrize("stage", STAGES[1:])
def test_what_is_deleted_behind_the_operators_back_is_made_again(stage: str) -> None:
    """Every Service, policy, account, budget and Deployment that a live run stands on converges."""
    world = run_world(stage)
    world.settle()
    before = {(item.kind, item.name) for item in world.children.named}
    deployments = {item.name for item in world.children.deployments}
    world.children = Children(jobs=world.children.jobs, pods=world.children.pods, config=world.children.config)
    world.settle()
    assert {(item.kind, item.name) for item in world.children.named} == before
    assert {item.name for item in world.children.deployments} == deployments


def test_replicas_follow_the_spec_in_mid_run() -> None:
    """Rollout and sandbox replicas may be changed; the Deployments are scaled, not replaced."""
    world = run_world("training")
    wider = training_run(generation=2, rollout={"replicas": 3}, sandbox={"replicas": 2})
    world.resource = world.resource.model_copy(update={"spec": wider.spec, "metadata": wider.metadata})
    plan = world.look()
    assert [(type(action).__name__, getattr(action, "replicas", 0)) for action in plan.actions] == [
        ("Scale", 2),
        ("Scale", 3),
    ]
    assert plan.status.observed_generation == 2
    assert {item.observed_generation for item in plan.status.conditions} == {2}
    assert world.plan().actions == ()


def test_the_pods_of_a_live_run_stay_those_it_was_frozen_to() -> None:
    """An operator with other images and defaults renders the next attempt from the frozen configuration."""
    world = run_world("prepared")
    newer = Images(dict.fromkeys(IMAGES.references, "registry/newer:2"), "Always")
    plan = plan_run(world.resource, world.children, RunFacts(), replace(around(), images=newer))
    trainer = next(action.document for action in plan.actions if isinstance(action, Create) and action.kind == "Job")
    container = trainer["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["imagePullPolicy"]) == ("registry/trainer:1", "IfNotPresent")


@pytest.mark.parametrize("told", [True, False])
def test_a_run_with_a_stage_that_ended_early_succeeds_with_the_steps_it_had(told: bool) -> None:
    """By what its pod said, or, when that is gone, by what its progress had said."""
    world = run_world("training")
    shorter = world.resource.status.model_copy(update={"total_steps": 4})
    world.resource = world.resource.model_copy(update={"status": shorter})
    world.change_job("trainer", complete=True, ended_at=after(60))
    if told:
        said = says("done", step=4, uri=f"{ROOT}/checkpoints/step-000004/model")
        world.see(pod("trainer", 1, **ends("trainer", 0, said)))
    status = world.look().status
    assert status.model is not None
    assert status.model.uri == f"{ROOT}/checkpoints/step-000004/model"
    assert (status.step, status.total_steps, status.stage) == (4, 4, "long")


def test_a_run_succeeds_with_what_came_after_the_last_look_at_its_progress() -> None:
    """The last validation and the best checkpoint, the last step's reward, a stage that ended early with it."""
    world = run_world("training")
    world.change_job("trainer", complete=True, ended_at=after(60))
    best = ScoredCheckpoint(uri=f"{ROOT}/checkpoints/step-000004", step=4, score=0.75)
    told = {
        "best_checkpoint": best, "validation": ScoredStep(step=5, score=0.5), "reward": 0.625,
        "truncated_fraction": 0.125, "advance": StageAdvance(stage="long", step=5, reason="good enough"),
    }  # fmt: skip
    world.see(pod("trainer", 1, **ends("trainer", 0, says("done", step=5, **told))))
    status = world.look().status
    assert status.best_checkpoint is not None
    assert status.validation is not None
    assert (status.best_checkpoint.uri, status.best_checkpoint.step, status.best_checkpoint.score) == (
        best.uri,
        4,
        0.75,
    )
    assert (status.validation.step, status.validation.score) == (5, 0.5)
    assert (status.reward, status.truncated_fraction) == (0.625, 0.125)
    assert [(one.stage, one.step, one.reason) for one in status.advances] == [("long", 5, "good enough")]


def test_a_stage_that_was_seen_to_end_early_is_told_once() -> None:
    """By the progress, and again at the end."""
    world = run_world("training")
    advance = StageAdvance(stage="short", step=2, reason="seen")
    world.run_facts = replace(world.run_facts, progress=progress(advances=(advance,)))
    world.resource = world.resource.model_copy(update={"status": world.look().status})
    world.change_job("trainer", complete=True, ended_at=after(60))
    world.see(pod("trainer", 1, **ends("trainer", 0, says("done", step=4, advance=advance))))
    assert [one.stage for one in world.look().status.advances] == ["short"]


def test_a_run_succeeds_with_its_model_and_frees_what_served_it() -> None:
    """Deployments first, as they hold GPUs; Services and budgets after; finished Jobs stay for their logs."""
    world = run_world("training")
    world.change_job("trainer", complete=True, ended_at=after(60))
    world.see(pod("trainer", 1, **ends("trainer", 0, says("done", uri=f"{ROOT}/checkpoints/step-000005/model"))))
    plan = world.look()
    status = plan.status
    assert status.phase == "Succeeded"
    assert status.model is not None
    assert status.model.uri == f"{ROOT}/checkpoints/step-000005/model"
    assert status.last_checkpoint is not None
    assert (status.last_checkpoint.uri, status.last_checkpoint.step) == (f"{ROOT}/checkpoints/step-000005", 5)
    assert (status.step, status.total_steps, status.stage, status.policy_version) == (5, 5, "long", 5)
    assert status.rollout is not None
    assert status.rollout.replicas == 0
    assert status.estimated_completion is None
    assert status.completion_time == "2026-03-01T12:00:00Z"
    conditions = conditions_of(plan)
    assert conditions["Complete"] == ("True", "Succeeded")
    assert conditions["Failed"] == ("False", "Succeeded")
    assert conditions["Ready"] == ("True", "Succeeded")
    assert deleted(plan) == [
        "Deployment tiny-tr-sandbox",
        "Deployment tiny-tr-rollout",
        "Service tiny-tr-sandbox",
        "PodDisruptionBudget tiny-tr-sandbox",
        "PodDisruptionBudget tiny-tr-rollout",
        "Service tiny-tr-trainer-1",
        "Service tiny-tr-orchestrator",
    ]


def test_the_model_is_known_even_when_the_trainer_pod_is_gone() -> None:
    """The place of the last checkpoint follows from the run alone."""
    world = run_world("training")
    world.change_job("trainer", complete=True)
    world.children = Children(jobs=world.children.jobs, config=world.children.config)
    status = world.look().status
    assert status.phase == "Succeeded"
    assert status.model.uri == f"{ROOT}/checkpoints/step-000005/model"


def test_a_run_that_is_done_has_succeeded_whatever_else_happened_meanwhile() -> None:
    """The deadline passed and the sandbox is gone by the time the operator looks: the run is done all the same."""
    world = run_world("training", activeDeadlineSeconds=100)
    world.change_job("trainer", complete=True)
    world.see(pod("sandbox", **ends("sandbox", 64, says("permanent", reason="IsolationFailed", cause="a network"))))
    world.seconds = 500
    assert world.look().status.phase == "Succeeded"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_an_ended_run_keeps_releasing_and_changes_no_more(phase: str) -> None:
    """A Deployment that was still there when the run ended goes at a later look; nothing is created again."""
    world = run_world("training")
    ended = training_run({"phase": phase, "message": "the end"}, generation=7)
    world.resource = world.resource.model_copy(update={"status": ended.status, "metadata": ended.metadata})
    plan = world.look()
    assert created(plan) == []
    assert deleted(plan)[:3] == ["Deployment tiny-tr-sandbox", "Deployment tiny-tr-rollout", "Job tiny-tr-trainer-1"]
    assert (plan.status.phase, plan.status.message) == (phase, "the end")
    assert world.plan().actions == ()


def test_rollout_servers_of_a_failed_run_are_counted_until_they_are_gone() -> None:
    """The scale subresource does not speak of pods that are not there."""
    world = run_world("training", failurePolicy={"maxRestarts": 0})
    servers = next(item for item in world.children.deployments if item.role == "rollout")
    world.see(replace(servers, there=2, ready=2), pod("trainer", 1, **ends("trainer", 1)))
    world.change_job("trainer", failed=True)
    assert world.look().status.rollout.replicas == 2
    world.see(replace(servers, there=1, ready=0, terminating=True))
    assert world.look().status.rollout.replicas == 1
    world.children = replace(world.children, deployments=())
    rollout = world.look().status.rollout
    assert (rollout.replicas, rollout.ready_replicas) == (0, 0)
    assert rollout.selector


def test_a_spec_changed_after_the_end_is_noticed() -> None:
    """observedGeneration follows, in status and conditions: else tools that wait for it wait for ever."""
    world = run_world("training")
    world.change_job("trainer", complete=True)
    world.look()
    changed = world.resource.metadata.model_copy(update={"generation": 2})
    world.resource = world.resource.model_copy(update={"metadata": changed})
    status = world.look().status
    assert status.phase == "Succeeded"
    assert status.observed_generation == 2
    assert {item.observed_generation for item in status.conditions} == {2}


def test_conditions_keep_the_time_of_their_last_change() -> None:
    """lastTransitionTime moves with the status of a condition, not with each look."""
    world = run_world("isolated")
    world.seconds = 300
    world.change_job("prepare", complete=True)
    world.see(pod("prepare", 1, **ends("prepare", 0, says("done", uri=DATASET))))
    times = {item.type: item.last_transition_time for item in world.look().status.conditions}
    assert times["PreflightPassed"] == times["IsolationVerified"] == times["Ready"] == "2026-03-01T12:00:00Z"
    assert times["DatasetReady"] == "2026-03-01T12:05:00Z"


def test_a_frozen_configuration_that_cannot_be_read_is_an_error() -> None:
    """Never planned from something else: its attempts would not be equal."""
    with pytest.raises(FrozenConfigError, match=r"cannot be read"):
        plan_run(training_run(), Children(config={"other": "{}"}), RunFacts(), around())


def test_values_that_do_not_fit_each_other_are_an_error() -> None:
    """What CEL cannot see: the caller tells the user, with the field's path."""
    run = training_run()
    spec = run.spec.model_copy(update={"trainer": run.spec.trainer.model_copy(update={"replicas": 100})})
    with pytest.raises(SpecificationError, match=r"spec\.algorithm\.promptsPerStep: 8 samples a step"):
        plan_run(run.model_copy(update={"spec": spec}), Children(), RunFacts(), around())


RATED = {"sources": [{"name": "made", "format": "jsonl", "uri": "s3://bucket/p.jsonl"}],
         "difficulty": {"samplesPerPrompt": 4, "keepAbove": 0}}  # fmt: skip


def test_the_base_model_serves_before_problems_are_rated() -> None:
    """Rollout, and the Service by which it finds the prepare Job, come with that Job; attempt 1 takes both over."""
    world = run_world("checked", data=RATED)
    world.see(pod("sandbox", ready=True))
    plan = world.look()
    assert created(plan) == ["Deployment tiny-tr-rollout", "Service tiny-tr-orchestrator", "Job tiny-tr-prepare-1"]
    assert plan.status.phase == "Preparing"
    assert plan.status.rollout is None
    assert world.settle().status.rollout is not None
    world.change_job("prepare", complete=True)
    world.see(pod("prepare", 1, **ends("prepare", 0, says("done", uri=DATASET, cause="164 problems"))))
    world.look()
    plan = world.look()
    assert created(plan) == ["Service tiny-tr-trainer-1", "Job tiny-tr-trainer-1"]
    (select,) = [action for action in plan.actions if isinstance(action, Select)]
    assert (select.name, select.selector["deepcoder.dev/role"]) == ("tiny-tr-orchestrator", "trainer")
    assert world.plan().actions == ()


def test_without_rating_nothing_of_rollout_is_there_while_problems_are_prepared() -> None:
    """GPU pods exist only while they are needed."""
    assert run_world("isolated").children.deployment("rollout") is None


@pytest.mark.parametrize(
    ("server", "phase", "said"),
    [
        (pod("rollout", phase="Running", ready=True), "Preparing", "reading and checking the problems"),
        (pod("rollout", unschedulable="0/3 nodes have a GPU"), "Preparing", "waiting for a rollout server to rate"),
        (
            pod("rollout", waits=(ContainerWait("rollout", "InvalidImageName", "bad image"),)),
            "Failed",
            "bad image",
        ),
    ],
    ids=["serves", "waits", "cannot start"],
)
def test_a_preparation_that_has_nobody_to_ask_says_so(server: PodSeen, phase: str, said: str) -> None:
    """What holds the rollout server up is what holds the run up."""
    world = run_world("isolated", data=RATED)
    world.see(pod("prepare", 1, phase="Running"), server)
    status = world.plan().status
    assert status.phase == phase
    assert said in f"{status.message} {status.failure.cause if status.failure else ''}"
