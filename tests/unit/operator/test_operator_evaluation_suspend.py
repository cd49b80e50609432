"""An Evaluation that is suspended, goes on, and whose children go some time after its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deepcoder_api.evaluation_status import BenchmarkScore, LengthPass
from deepcoder_api.manifest import EvaluationResource
from deepcoder_operator.index import see_resource
from deepcoder_operator.kinds import SERVED
from deepcoder_operator.metrics import Metrics
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Plan
from tests.operator_builders import (
    conditions_of,
    created,
    deleted,
    ends,
    evaluation,
    pod,
    says,
)
from tests.operator_world import World, evaluation_world

LENGTHS = [LengthPass(tokens=16384, pass_at_1=0.5), LengthPass(tokens=32768, pass_at_1=0.8125)]
SCORE = BenchmarkScore(name="held-out", problems=128, pass_at_1=0.8125, rating=1936.5, lengths=LENGTHS)
SCORED = says("done", uri="s3://bucket/prefix/report.json", scores=(SCORE,))


def change(world: World[EvaluationResource], **spec: Any) -> None:
    """The user changes the spec."""
    resource = world.resource
    world.resource = resource.model_copy(update={"spec": resource.spec.model_copy(update=spec)})


def end_well(world: World[EvaluationResource]) -> Plan[Any]:
    """The evaluator has its scores."""
    world.change_job("evaluator", complete=True)
    world.see(pod("evaluator", 1, **ends("evaluator", 0, SCORED)))
    return world.look()


@pytest.mark.parametrize("stage", ["new", "checked", "running"])
def test_a_suspended_evaluation_holds_no_pod_and_says_so(stage: str) -> None:
    """Deployments and what still runs go; it is neither ready nor stalled, and is left alone."""
    world = evaluation_world(stage)
    world.settle()
    change(world, suspend=True)
    plan = world.look()
    assert (plan.status.phase, plan.again_in) == ("Suspended", None)
    assert plan.status.message == "suspended: nothing runs; spec.suspend: false goes on"
    assert conditions_of(plan)["Ready"] == ("False", "Suspended")
    assert conditions_of(plan)["Suspended"] == ("True", "Suspended")
    assert "Stalled" not in conditions_of(plan)
    assert created(plan) == []
    assert world.children.deployments == ()
    assert [job for job in world.children.jobs if not job.complete] == []
    assert world.plan().actions == ()


def test_it_goes_on_where_it_was() -> None:
    """What was checked is not checked again; engine, sandbox, Services and the evaluator are made anew."""
    world = evaluation_world("running")
    change(world, suspend=True)
    world.look()
    world.see(*(replace(one, ready=False) for one in world.children.pods))
    world.children = replace(world.children, pods=())
    change(world, suspend=False)
    plan = world.settle()
    assert conditions_of(plan)["Suspended"] == ("False", "Resumed")
    assert conditions_of(plan)["PreflightPassed"][0] == "True"
    assert {one.role for one in world.children.deployments} == {"engine", "sandbox"}
    assert not world.children.jobs_of("evaluator")
    world.see(pod("sandbox", ready=True), pod("engine", ready=True))
    assert created(world.look()) == ["Job tiny-ev-evaluator-1"]
    assert {name.name for name in world.children.named if name.kind == "Service"} == {
        "tiny-ev-sandbox", "tiny-ev-engine",
    }  # fmt: skip


def test_one_that_is_created_suspended_starts_nothing() -> None:
    """Not even what it needs before any pod, and it does not wait for its run."""
    world = evaluation_world(suspend=True, model={"uri": None, "trainingRun": {"name": "tiny"}})
    plan = world.look()
    assert (plan.status.phase, plan.actions, plan.status.start_time) == ("Suspended", (), None)
    change(world, suspend=False)
    assert world.look().status.phase == "Waiting"
    assert conditions_of(world.plan())["Suspended"] == ("False", "Resumed")


def test_a_deadline_counts_anew_when_it_goes_on() -> None:
    """As with a Job: what was suspended for a week has not used up its time."""
    world = evaluation_world("running", activeDeadlineSeconds=100)
    change(world, suspend=True)
    world.look()
    world.seconds = 5000
    change(world, suspend=False)
    world.look()
    assert world.resource.status.start_time == "2026-03-01T13:23:20Z"
    world.seconds = 5099
    assert world.look().status.phase != "Failed"
    world.seconds = 5100
    assert conditions_of(world.look())["Failed"] == ("True", "DeadlineExceeded")


def test_scores_that_are_there_are_taken_though_it_is_suspended() -> None:
    """The evaluator was done before it could be stopped."""
    world = evaluation_world("running")
    change(world, suspend=True)
    plan = end_well(world)
    assert (plan.status.phase, plan.status.pass_at_1) == ("Succeeded", 0.8125)


def test_scores_by_length_are_on_the_status() -> None:
    """By benchmark, and of the first in one line for the column."""
    plan = end_well(evaluation_world("running"))
    assert plan.status.scores == [SCORE]
    assert plan.status.pass_at_1_by_length == "16384: 0.500, 32768: 0.812"


def test_jobs_go_when_their_time_is_over_and_the_evaluation_stays() -> None:
    """Until then their logs can be read; the scores can for ever."""
    world = evaluation_world("running", ttlSecondsAfterFinished=600)
    end_well(world)
    world.seconds = 590
    plan = world.look()
    assert (deleted(plan), plan.again_in) == ([], 10.0)
    world.seconds = 600
    plan = world.look()
    assert deleted(plan) == ["Job tiny-ev-preflight-1", "Job tiny-ev-evaluator-1"]
    assert plan.status.scores == [SCORE]
    assert world.look().actions == ()
    assert world.children.jobs == ()


def test_a_time_to_live_of_a_failed_evaluation_counts_too() -> None:
    """And one that is shortened afterwards is taken at once."""
    world = evaluation_world("running", activeDeadlineSeconds=100)
    world.seconds = 100
    assert world.look().status.phase == "Failed"
    world.seconds = 200
    assert world.look().again_in is None
    change(world, ttl_seconds_after_finished=0)
    assert deleted(world.look()) == ["Job tiny-ev-preflight-1"]


@pytest.mark.parametrize("how", ["suspend", "ttl"])
def test_a_served_model_goes_when_it_is_suspended_or_its_time_is_over(how: str) -> None:
    """Its Deployment and its Service; after a suspension both come back."""
    world = evaluation_world("running", serve=True, ttlSecondsAfterFinished=600)
    end_well(world)
    assert {one.role for one in world.children.deployments} == {"engine"}
    if how == "ttl":
        world.seconds = 600
    else:
        change(world, suspend=True)
    assert {"Deployment tiny-ev-engine", "Service tiny-ev-engine"} <= set(deleted(world.look()))
    if how == "suspend":
        change(world, suspend=False)
        assert created(world.look()) == ["Deployment tiny-ev-engine", "Service tiny-ev-engine"]


def test_scores_are_metrics_of_the_operator() -> None:
    """By benchmark and response limit, as long as the Evaluation is there."""
    body = {
        "apiVersion": SERVED["Evaluation"].api_version,
        "kind": "Evaluation",
        "metadata": {"name": "tuned", "namespace": "team", "uid": "u", "resourceVersion": "1"},
        "spec": evaluation().spec.model_dump(by_alias=True, mode="json", exclude_none=True),
        "status": {"phase": "Succeeded", "scores": [SCORE.model_dump(by_alias=True, exclude_none=True)]},
    }
    metrics = Metrics()
    text = metrics.text([see_resource("Evaluation", body)], 0).decode()
    of = 'benchmark="held-out",name="tuned",namespace="team"'
    assert f'deepcoder_operator_evaluation_pass_at_1{{{of},tokens="16384"}} 0.5' in text
    assert f'deepcoder_operator_evaluation_pass_at_1{{{of},tokens="32768"}} 0.8125' in text
    assert f"deepcoder_operator_evaluation_rating{{{of}}} 1936.5" in text
    assert "tuned" not in metrics.text([], 0).decode()


def test_nothing_of_a_suspended_evaluation_is_left_to_release() -> None:
    """Looked at with no children at all, it asks for nothing."""
    world = evaluation_world("running")
    change(world, suspend=True)
    world.look()
    world.children = Children(config=world.children.config)
    assert world.plan().actions == ()
