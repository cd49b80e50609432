"""An Evaluation from its creation to its scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deepcoder_api.evaluation_status import BenchmarkScore
from deepcoder_api.lifecycle import EvaluationProgress
from deepcoder_api.specification import kubernetes_form
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Create
from tests.operator_builders import (
    EVALUATION_OWNER,
    IMAGES,
    ROOT,
    after,
    conditions_of,
    created,
    deleted,
    deployment,
    ends,
    evaluation,
    job,
    pod,
    says,
    training_run,
    waits,
)
from tests.operator_world import evaluation_world

STAGES = ["new", "checked", "running"]
OF_A_RUN = {"uri": None, "trainingRun": {"name": "tiny"}}
SCORES = (
    BenchmarkScore(name="held-out", problems=128, pass_at_1=0.8125),
    BenchmarkScore(name="second", problems=10, pass_at_1=0.5),
)
SCORED = says("done", uri="s3://bucket/prefix/report.json", scores=SCORES)


@pytest.mark.parametrize(
    ("stage", "phase", "message", "ready"),
    [
        ("new", "Pending", "checking model, bucket, key and data", "False"),
        ("checked", "Starting", "starting the sandbox and checking its isolation", "False"),
        ("running", "Running", "answering and grading", "True"),
    ],
)
def test_each_stage_of_an_evaluation_shows_its_phase(stage: str, phase: str, message: str, ready: str) -> None:
    """Phase, message and Ready say where it stands; nothing is stalled on the good way."""
    status = evaluation_world(stage).plan().status
    conditions = {item.type: item for item in status.conditions}
    assert (status.phase, status.message, status.model) == (phase, message, "s3://bucket/base")
    assert conditions["Ready"].status == ready
    assert "Stalled" not in conditions


@pytest.mark.parametrize("stage", STAGES)
def test_planning_again_with_what_was_created_does_nothing(stage: str) -> None:
    """Once settled, another look does nothing and writes the same status."""
    world = evaluation_world(stage)
    settled = world.settle()
    again = world.plan()
    assert again.actions == ()
    assert kubernetes_form(again.status) == kubernetes_form(settled.status)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_deleted_behind_the_operators_back_is_made_again(stage: str) -> None:
    """Services, policies, accounts and Deployments converge."""
    world = evaluation_world(stage)
    world.settle()
    before = {(item.kind, item.name) for item in world.children.named}
    deployments = {item.name for item in world.children.deployments}
    world.children = Children(jobs=world.children.jobs, pods=world.children.pods, config=world.children.config)
    world.settle()
    assert {(item.kind, item.name) for item in world.children.named} == before
    assert {item.name for item in world.children.deployments} == deployments


def test_only_a_preflight_starts_before_the_checks_are_passed() -> None:
    """The engine holds GPUs; it waits until model, bucket and benchmarks were seen."""
    assert created(evaluation_world().plan()) == [
        "ConfigMap tiny-ev-config",
        "ServiceAccount tiny-ev-pods",
        "ServiceAccount tiny-ev-sandbox",
        "NetworkPolicy tiny-ev-preflight",
        "NetworkPolicy tiny-ev-sandbox",
        "NetworkPolicy tiny-ev-engine",
        "NetworkPolicy tiny-ev-evaluator",
        "Service tiny-ev-sandbox",
        "Service tiny-ev-engine",
        "PodDisruptionBudget tiny-ev-sandbox",
        "Job tiny-ev-preflight-1",
    ]


def test_a_model_that_is_served_already_gets_no_engine() -> None:
    """No Deployment, Service or policy of one; the evaluator starts when the sandbox is ready, with key and address."""
    endpoint = {"url": "https://host/v1", "name": "some/model", "secretName": "key"}
    world = evaluation_world(model={"uri": None, "endpoint": endpoint})
    assert not [name for name in created(world.plan()) if "engine" in name]
    world.settle()
    world.change_job("preflight", complete=True)
    assert created(world.look()) == ["Deployment tiny-ev-sandbox"]
    world.see(pod("sandbox", ready=True))
    plan = world.look()
    assert created(plan) == ["Job tiny-ev-evaluator-1"]
    assert plan.status.model == "https://host/v1"
    (action,) = [action for action in plan.actions if isinstance(action, Create)]
    (container,) = action.document["spec"]["template"]["spec"]["containers"]
    assert "https://host/v1" in container["command"]
    references = [(one["name"], one.get("valueFrom", {}).get("secretKeyRef")) for one in container["env"]]
    names = {name: secret["name"] for name, secret in references if secret}
    assert names["OPENAI_API_KEY"] == "key"


def test_a_model_that_is_to_be_served_stays_up_after_its_scores() -> None:
    """All else is released; an engine that is deleted is made again; every pod of the namespace may ask it."""
    world = evaluation_world("running", serve=True)
    world.change_job("evaluator", complete=True)
    world.see(pod("evaluator", 1, **ends("evaluator", 0, SCORED)))
    plan = world.look()
    assert plan.status.phase == "Succeeded"
    assert "served at http://tiny-ev-engine.team.svc:8801/v1" in plan.status.message
    assert "Deployment tiny-ev-engine" not in deleted(plan)
    assert "Deployment tiny-ev-sandbox" in deleted(plan)
    world.children = replace(world.children, deployments=())
    assert created(world.look()) == ["Deployment tiny-ev-engine"]


def test_engine_and_sandbox_start_side_by_side() -> None:
    """The engine loads its model while the sandbox shows its isolation."""
    world = evaluation_world()
    world.settle()
    world.change_job("preflight", complete=True)
    assert created(world.look()) == ["Deployment tiny-ev-engine", "Deployment tiny-ev-sandbox"]


def test_the_evaluator_starts_when_both_are_ready() -> None:
    """An isolated sandbox alone is not enough."""
    world = evaluation_world("checked")
    world.see(pod("sandbox", ready=True), pod("engine", ready=False))
    plan = world.look()
    assert (created(plan), plan.status.message) == ([], "starting the engine")
    world.see(pod("engine", ready=True))
    plan = world.look()
    assert created(plan) == ["Job tiny-ev-evaluator-1"]
    assert plan.status.phase == "Running"


def test_sizes_converge() -> None:
    """The sandbox follows the spec, and the engine what it was frozen to."""
    world = evaluation_world("running")
    world.see(
        deployment("engine", 0, owner=EVALUATION_OWNER, uid="e"),
        deployment("sandbox", 5, owner=EVALUATION_OWNER, uid="s"),
    )
    assert [(getattr(a, "name", ""), getattr(a, "replicas", 0)) for a in world.look().actions] == [
        ("tiny-ev-engine", 1),
        ("tiny-ev-sandbox", 1),
    ]


@pytest.mark.parametrize(
    ("run", "reason", "waiting"),
    [
        (None, "TrainingRunNotFound", 'waiting for the TrainingRun "tiny" (spec.model.trainingRun.name), which is not'),
        ({"phase": "Training", "step": 3}, "TrainingRunNotFinished", 'waiting for the TrainingRun "tiny" to succeed'),
    ],
)
def test_an_evaluation_of_a_run_waits_for_it(run: dict[str, Any] | None, reason: str, waiting: str) -> None:
    """It says for what, makes nothing, holds no GPU, and is not stalled."""
    world = evaluation_world(model=OF_A_RUN)
    world.evaluation_facts = replace(world.evaluation_facts, training_run=training_run(run) if run else None)
    plan = world.look()
    assert (plan.status.phase, plan.actions, plan.again_in) == ("Waiting", (), 30.0)
    assert plan.status.message.startswith(waiting)
    assert conditions_of(plan) == {"Ready": ("False", reason)}


def test_an_evaluation_of_a_run_that_failed_fails() -> None:
    """It would wait for ever; the run's own cause is told."""
    world = evaluation_world(model=OF_A_RUN)
    run = training_run({"phase": "Failed", "message": "out of memory"})
    world.evaluation_facts = replace(world.evaluation_facts, training_run=run)
    plan = world.look()
    assert plan.status.phase == "Failed"
    assert plan.status.message == 'the TrainingRun "tiny" has failed, so it has no last checkpoint: out of memory'
    assert conditions_of(plan)["Failed"] == ("True", "TrainingRunFailed")


def test_the_model_of_a_run_that_succeeded_is_measured() -> None:
    """And stays what it is, whatever becomes of the run: it is frozen with the evaluation."""
    world = evaluation_world(model=OF_A_RUN)
    made = f"{ROOT}/checkpoints/step-000005/model"
    run = training_run({"phase": "Succeeded", "model": {"uri": made}})
    world.evaluation_facts = replace(world.evaluation_facts, training_run=run)
    assert "Job tiny-ev-preflight-1" in created(world.look())
    world.evaluation_facts = replace(world.evaluation_facts, training_run=None)
    plan = world.look()
    assert (plan.status.phase, plan.status.model) == ("Pending", made)


def test_waiting_for_a_run_does_not_count_for_the_deadline() -> None:
    """The evaluation starts when its model is there; from then on the deadline counts."""
    world = evaluation_world(model=OF_A_RUN, activeDeadlineSeconds=100)
    world.seconds = 500
    plan = world.look()
    assert (plan.status.phase, plan.status.start_time) == ("Waiting", None)
    run = training_run({"phase": "Succeeded", "model": {"uri": "s3://bucket/made"}})
    world.evaluation_facts = replace(world.evaluation_facts, training_run=run)
    world.settle()
    assert world.resource.status.start_time == "2026-03-01T12:08:20Z"
    world.seconds = 599
    assert world.look().again_in == 1.0
    world.seconds = 600
    plan = world.look()
    assert plan.status.phase == "Failed"
    assert plan.status.message.startswith("spec.activeDeadlineSeconds: 100: ")


def test_progress_is_shown() -> None:
    """How many answers are graded, of how many."""
    world = evaluation_world("running")
    progress = EvaluationProgress(answered=37, total=128, passed=11)
    world.evaluation_facts = replace(world.evaluation_facts, progress=progress)
    plan = world.look()
    assert (plan.status.answered, plan.status.total, plan.status.phase) == (37, 128, "Running")
    assert plan.again_in == 5.0
    world.evaluation_facts = replace(world.evaluation_facts, progress=None)
    assert world.look().status.answered == 37


def test_an_evaluation_succeeds_with_its_scores_and_frees_its_pods() -> None:
    """pass@1 of each benchmark, the first one's as a column, the report's place; engine and sandbox go."""
    world = evaluation_world("running")
    progress = EvaluationProgress(answered=120, total=138)
    world.evaluation_facts = replace(world.evaluation_facts, progress=progress)
    world.look()
    world.change_job("evaluator", complete=True)
    world.see(pod("evaluator", 1, **ends("evaluator", 0, SCORED)))
    plan = world.look()
    status = plan.status
    assert status.phase == "Succeeded"
    assert status.scores == list(SCORES)
    assert (status.pass_at_1, status.report) == (0.8125, "s3://bucket/prefix/report.json")
    assert (status.answered, status.total) == (138, 138)
    assert status.message == ("held-out: pass@1 0.812 over 128 problems, second: pass@1 0.500 over 10 problems")
    assert conditions_of(plan)["Complete"] == ("True", "Succeeded")
    assert conditions_of(plan)["Ready"] == ("True", "Succeeded")
    assert deleted(plan) == [
        "Deployment tiny-ev-engine",
        "Deployment tiny-ev-sandbox",
        "Service tiny-ev-sandbox",
        "Service tiny-ev-engine",
        "PodDisruptionBudget tiny-ev-sandbox",
    ]
    assert world.plan().actions == ()


def test_an_evaluation_that_is_done_has_succeeded_whatever_else_happened_meanwhile() -> None:
    """The deadline passed, and the sandbox is gone, by the time the operator looks."""
    world = evaluation_world("running", activeDeadlineSeconds=100)
    world.change_job("evaluator", complete=True)
    world.see(pod("evaluator", 1, **ends("evaluator", 0, SCORED)))
    world.seconds = 500
    assert world.look().status.phase == "Succeeded"


def test_an_evaluator_that_may_heal_is_tried_again() -> None:
    """After its pause, while the servers stay."""
    world = evaluation_world("running")
    world.change_job("evaluator", failed=True, ended_at=after(0))
    world.see(pod("evaluator", 1, **ends("evaluator", 75, says("retryable", cause="the engine did not answer"))))
    plan = world.look()
    assert (plan.actions, plan.again_in) == ((), 5.0)
    assert plan.status.message == "the evaluator is tried again: the engine did not answer"
    assert conditions_of(plan)["Ready"] == ("False", "EvaluatorRetrying")
    world.seconds = 5
    assert created(world.look()) == ["Job tiny-ev-evaluator-2"]


def test_an_evaluator_that_cannot_heal_ends_the_evaluation() -> None:
    """With its cause."""
    world = evaluation_world("running")
    world.change_job("evaluator", failed=True)
    cause = "benchmark held-out: no problem fits the model's context"
    world.see(pod("evaluator", 1, **ends("evaluator", 64, says("permanent", reason="NoProblem", cause=cause))))
    plan = world.look()
    assert (plan.status.phase, plan.status.message) == ("Failed", cause)
    assert conditions_of(plan)["Failed"] == ("True", "NoProblem")
    assert deleted(plan)[0] == "Deployment tiny-ev-engine"


def test_scores_that_are_lost_with_their_pod_are_measured_again() -> None:
    """But not for ever."""
    world = evaluation_world("running")
    world.change_job("evaluator", complete=True)
    assert created(world.look()) == ["Job tiny-ev-evaluator-2"]
    world.see(*(job("evaluator", number, owner=EVALUATION_OWNER, complete=True) for number in range(1, 21)))
    plan = world.look()
    assert conditions_of(plan)["Failed"] == ("True", "EvaluatorFailed")


def test_an_engine_image_that_is_not_there_ends_the_evaluation() -> None:
    """After its grace."""
    world = evaluation_world("checked")
    world.see(pod("sandbox", ready=True), pod("engine", **waits("ErrImagePull", "not found", "engine")))
    assert conditions_of(world.look())["Ready"] == ("False", "EngineWaiting")
    world.seconds = 90
    assert conditions_of(world.look())["Failed"] == ("True", "ImageNotFound")


@pytest.mark.parametrize(
    ("engine", "given", "image"),
    [
        ({"kind": "vllm"}, {}, IMAGES.references["rollout"]),
        ({"kind": "vllm"}, {"engine-vllm": "them/vllm:1"}, "them/vllm:1"),
        ({"kind": "sglang"}, {"engine-sglang": "them/sglang:1"}, "them/sglang:1"),
        ({"kind": "sglang", "pod": {"image": "me/sglang:2"}}, {"engine-sglang": "them/sglang:1"}, "me/sglang:2"),
        ({"kind": "tgi", "pod": {"image": "me/tgi:2"}}, {}, "me/tgi:2"),
        ({"kind": "tensorrt-llm"}, {"engine-tgi": "them/tgi:1"}, None),
    ],
)
def test_an_engine_runs_the_image_that_the_chart_or_the_evaluation_names(
    engine: dict[str, Any], given: dict[str, str], image: str | None
) -> None:
    """Without one it fails before anything is made, and says which value is missing; the model's own pod is ours."""
    world = evaluation_world(engine={"gpusPerReplica": 1, **engine})
    world.images = replace(IMAGES, references={**IMAGES.references, **given})  # type: ignore[dict-item]
    if image is None:
        plan = world.look()
        assert conditions_of(plan)["Failed"] == ("True", "EngineImageNotSet")
        assert plan.status.message.startswith('spec.engine.kind: "tensorrt-llm": the operator was given no image')
        assert "images.engines.tensorrt-llm" in plan.status.message
        assert plan.actions == ()
        return
    world.settle()
    world.change_job("preflight", complete=True)
    made = next(action.document for action in world.look().actions if isinstance(action, Create))
    pod_spec = made["spec"]["template"]["spec"]
    assert [one["image"] for one in pod_spec["containers"]] == [image]
    assert [one["image"] for one in pod_spec["initContainers"]] == [IMAGES.references["worker"]]


def test_an_engine_that_is_away_does_not_stop_the_evaluator() -> None:
    """It waits for the engine by itself, with a deadline of its own."""
    world = evaluation_world("running")
    world.see(pod("engine", ready=False))
    assert world.look().status.phase == "Running"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_an_ended_evaluation_keeps_releasing_and_changes_no_more(phase: str) -> None:
    """What was still there goes; nothing is created; a changed spec is noticed."""
    world = evaluation_world("running")
    ended = evaluation({"phase": phase, "message": "the end"}, generation=4)
    world.resource = world.resource.model_copy(update={"status": ended.status, "metadata": ended.metadata})
    plan = world.look()
    assert created(plan) == []
    assert deleted(plan)[:3] == [
        "Deployment tiny-ev-engine",
        "Deployment tiny-ev-sandbox",
        "Job tiny-ev-evaluator-1",
    ]
    assert (plan.status.phase, plan.status.message, plan.status.observed_generation) == (phase, "the end", 4)
    assert world.plan().actions == ()
