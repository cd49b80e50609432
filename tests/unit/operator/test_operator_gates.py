"""What a run and an evaluation must pass before anything expensive starts: Pending and Preparing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deepcoder_operator.plan import Plan
from tests.operator_builders import DATASET, after, conditions_of, created, deleted, ends, job, pod, says, waits
from tests.operator_world import evaluation_world, run_world


def failed_with(plan: Plan[Any]) -> tuple[str, str]:
    """Reason and cause of a resource that has failed; a failure shows in every condition that tools read."""
    conditions = conditions_of(plan)
    assert plan.status.phase == "Failed"
    assert plan.status.completion_time
    reason = conditions["Failed"][1]
    assert conditions["Failed"] == ("True", reason)
    assert conditions["Stalled"] == ("True", reason)
    assert conditions["Ready"] == ("False", reason)
    assert conditions["Complete"] == ("False", reason)
    assert plan.status.failure is not None
    assert plan.status.message == plan.status.failure.cause
    assert created(plan) == []
    return reason, plan.status.message


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"model": {"uri": "file:///models/base"}}, 'spec.model.uri: "file:///models/base"'),
        (
            {"data": {"sources": [{"name": "a", "format": "jsonl", "uri": "file:///p.jsonl"}]}},
            'spec.data.sources[0].uri: "file:///p.jsonl"',
        ),
        (
            {
                "data": {
                    "sources": [{"name": "a", "format": "jsonl", "uri": "s3://b/p.jsonl"}],
                    "decontaminate": [{"name": "a", "format": "jsonl", "uri": "file:///p.jsonl"}],
                }
            },
            'spec.data.decontaminate[0].uri: "file:///p.jsonl"',
        ),
    ],
)
def test_folders_of_the_users_machine_are_refused(changes: dict[str, Any], cause: str) -> None:
    """file:// is for local runs; the run fails before anything is made, and says which field and what is allowed."""
    reason, said = failed_with(run_world(**changes).look())
    assert reason == "InvalidSpec"
    assert said.startswith(cause)
    assert "s3://" in said


def test_a_benchmark_on_the_users_machine_is_refused() -> None:
    """The same for an evaluation."""
    benchmarks = [{"name": "a", "kind": "jsonl", "uri": "s3://b/a"}, {"name": "b", "kind": "jsonl", "uri": "file:///b"}]
    reason, said = failed_with(evaluation_world(benchmarks=benchmarks).look())
    assert reason == "InvalidSpec"
    assert said.startswith('spec.benchmarks[1].uri: "file:///b"')


@pytest.mark.parametrize("seconds", [100, 101])
def test_a_run_past_its_deadline_fails_and_is_released(seconds: float) -> None:
    """activeDeadlineSeconds counts from the creation; the running Job goes."""
    world = run_world(activeDeadlineSeconds=100)
    world.settle()
    world.seconds = seconds
    plan = world.look()
    reason, said = failed_with(plan)
    assert reason == "DeadlineExceeded"
    assert said.startswith("spec.activeDeadlineSeconds: 100: ")
    assert "Job tiny-tr-preflight-1" in deleted(plan)


@pytest.mark.parametrize(("stage", "seconds", "again_in"), [("new", 40, 10), ("new", 97, 3), ("training", 97, 3)])
def test_a_deadline_is_looked_at_when_it_is_due(stage: str, seconds: float, again_in: float) -> None:
    """Also when nothing else happens until then."""
    world = run_world(stage, activeDeadlineSeconds=100)
    world.seconds = seconds
    assert world.settle().again_in == again_in


@pytest.mark.parametrize("there", [True, None])
def test_a_runtime_class_that_is_there_or_not_asked_for_is_no_obstacle(there: bool | None) -> None:
    """The preflight starts."""
    world = run_world()
    world.run_facts = replace(world.run_facts, runtime_class_there=there)
    assert "Job tiny-tr-preflight-1" in created(world.look())


def test_a_missing_runtime_class_may_still_come() -> None:
    """It may be applied moments after the run: within the grace nothing is made, and the run is not stalled."""
    world = run_world()
    world.run_facts = replace(world.run_facts, runtime_class_there=False)
    world.seconds = 19
    plan = world.look()
    assert plan.actions == ()
    assert plan.again_in == 2.0
    assert plan.status.phase == "Pending"
    assert conditions_of(plan) == {"Ready": ("False", "RuntimeClassNotFound")}
    world.run_facts = replace(world.run_facts, runtime_class_there=True)
    assert "Job tiny-tr-preflight-1" in created(world.look())


def test_a_runtime_class_that_does_not_come_fails_the_run() -> None:
    """With the field, the value and what to do."""
    world = run_world(sandbox={"runtimeClassName": "gv"})
    world.run_facts = replace(world.run_facts, runtime_class_there=False)
    world.seconds = 20
    reason, said = failed_with(world.look())
    assert reason == "RuntimeClassNotFound"
    assert said.startswith('spec.sandbox.runtimeClassName: "gv": there is no such RuntimeClass')


def test_a_runtime_class_that_goes_away_ends_no_run_that_was_shown_to_be_isolated() -> None:
    """Days of training do not end because the class is replaced for a minute."""
    world = run_world("training")
    world.seconds = 5000
    world.run_facts = replace(world.run_facts, runtime_class_there=False)
    assert world.look().status.phase == "Training"


def test_what_the_preflight_found_wrong_for_good_ends_the_run() -> None:
    """Its cause is the run's, with the pod, container and exit code that it came from."""
    world = run_world()
    world.settle()
    world.change_job("preflight", failed=True, ended_at=after(5))
    cause = 'spec.storage.uri: "s3://nowhere/x": there is no bucket "nowhere"'
    world.see(pod("preflight", 1, **ends("preflight", 64, says("permanent", reason="BucketNotFound", cause=cause))))
    plan = world.look()
    assert failed_with(plan) == ("BucketNotFound", cause)
    assert conditions_of(plan)["PreflightPassed"] == ("False", "BucketNotFound")
    failure = plan.status.failure
    assert (failure.pod, failure.container, failure.exit_code) == ("tiny-tr-preflight-1-0-x", "preflight", 64)


def test_a_preflight_that_may_heal_is_tried_again_after_a_pause() -> None:
    """The pause is counted from the end of the Job; the run says why it waits."""
    world = run_world()
    world.settle()
    world.change_job("preflight", failed=True, ended_at=after(10))
    world.see(pod("preflight", 1, **ends("preflight", 75, says("retryable", reason="Unreachable", cause="no answer"))))
    world.seconds = 12
    plan = world.look()
    assert (plan.actions, plan.again_in) == ((), 3.0)
    assert plan.status.message == "preflight is tried again: no answer"
    assert conditions_of(plan)["Ready"] == ("False", "PreflightRetrying")
    world.seconds = 15
    assert created(world.look()) == ["Job tiny-tr-preflight-2"]
    assert world.plan().actions == ()


@pytest.mark.parametrize(
    ("message", "reason", "cause"),
    [
        ('secret "s3" not found', "SecretNotFound", 'spec.storage.secretName: "s3": there is no such Secret'),
        (
            "couldn't find key AWS_ACCESS_KEY_ID in Secret team/s3",
            "SecretKeyNotFound",
            'spec.storage.secretName: "s3": the Secret has no key AWS_ACCESS_KEY_ID',
        ),
    ],
)
def test_a_missing_secret_fails_the_run_after_its_grace(message: str, reason: str, cause: str) -> None:
    """Within the grace the run says what it waits for; after it the run fails, naming the field."""
    world = run_world()
    world.settle()
    world.see(pod("preflight", 1, **waits("CreateContainerConfigError", message, "preflight")))
    world.seconds = 10
    plan = world.look()
    assert plan.status.phase == "Pending"
    assert message in plan.status.message
    assert plan.again_in == 5.0
    world.seconds = 20
    said = failed_with(world.look())
    assert said[0] == reason
    assert said[1].startswith(cause)


def test_the_preflight_is_passed_once() -> None:
    """What it found holds for the run: its Job may be gone later."""
    world = run_world("checked")
    assert conditions_of(world.plan())["PreflightPassed"] == ("True", "Passed")
    world.children = replace(world.children, jobs=())
    assert created(world.plan()) == []


def test_isolation_that_is_not_there_fails_the_run_closed() -> None:
    """The canary's own words, before any rollout or trainer pod."""
    world = run_world("checked")
    cause = "NetworkReachable: 10.96.0.1:443 answered"
    message = says("permanent", reason="NetworkReachable", cause=cause)
    world.see(pod("sandbox", **{**ends("sandbox", 64, message), **waits("CrashLoopBackOff", "back-off", "sandbox")}))
    plan = world.look()
    assert failed_with(plan) == ("NetworkReachable", cause)
    assert conditions_of(plan)["IsolationVerified"] == ("False", "NetworkReachable")
    assert "Deployment tiny-tr-sandbox" in deleted(plan)


def test_a_sandbox_that_crashes_otherwise_is_waited_for() -> None:
    """Not isolated is what its message says, nothing else; the run shows what it waits for."""
    world = run_world("checked")
    world.see(
        pod("sandbox", **{**ends("sandbox", 1, "Traceback"), **waits("CrashLoopBackOff", "back-off 10s", "sandbox")})
    )
    plan = world.look()
    assert plan.status.phase == "Preparing"
    assert plan.status.message == "container sandbox of pod tiny-tr-sandbox-0-0-x: CrashLoopBackOff back-off 10s"
    conditions = conditions_of(plan)
    assert conditions["IsolationVerified"] == ("Unknown", "CanaryPending")
    assert conditions["Ready"] == ("False", "SandboxWaiting")
    assert "Stalled" not in conditions


def test_a_sandbox_image_that_is_not_there_fails_the_run() -> None:
    """Before a minute of GPU time is spent."""
    world = run_world("checked")
    world.see(pod("sandbox", **waits("ErrImagePull", "registry/sandbox:1: not found", "sandbox")))
    world.seconds = 90
    assert failed_with(world.look()) == (
        "ImageNotFound",
        "the image of container sandbox cannot be pulled: registry/sandbox:1: not found",
    )


def test_one_isolated_sandbox_lets_the_run_go_on() -> None:
    """A pod that is not ready takes no work, so nothing runs where isolation was not shown."""
    world = run_world("checked")
    world.see(pod("sandbox", index=0), pod("sandbox", index=1, ready=True))
    plan = world.look()
    assert conditions_of(plan)["IsolationVerified"] == ("True", "CanaryPassed")
    assert created(plan) == ["Job tiny-tr-prepare-1"]


def test_a_sandbox_that_is_away_stops_no_verified_run() -> None:
    """The next pod shows its isolation before it is ready; the run goes on meanwhile."""
    world = run_world("training")
    world.children = replace(world.children, pods=tuple(p for p in world.children.pods if p.role != "sandbox"))
    plan = world.look()
    assert plan.status.phase == "Training"
    assert conditions_of(plan)["IsolationVerified"][0] == "True"


def test_a_dataset_lets_the_run_start() -> None:
    """Its place is written to the status before anything is made from it."""
    world = run_world("isolated")
    world.change_job("prepare", complete=True)
    world.see(pod("prepare", 1, **ends("prepare", 0, says("done", uri=DATASET, cause="164 of 164 problems"))))
    plan = world.look()
    assert (plan.actions, plan.again_in) == ((), 0.0)
    assert (plan.status.phase, plan.status.dataset) == ("Starting", DATASET)
    assert conditions_of(plan)["DatasetReady"] == ("True", "Prepared")


def test_a_dataset_left_empty_ends_the_run() -> None:
    """No trainer and no rollout pod was started."""
    world = run_world("isolated")
    world.change_job("prepare", failed=True)
    cause = "spec.data: no problem is left: 3 of 3 dropped (solution not accepted: 3)"
    world.see(pod("prepare", 1, **ends("prepare", 64, says("permanent", reason="DatasetEmpty", cause=cause))))
    plan = world.look()
    assert failed_with(plan) == ("DatasetEmpty", cause)
    assert conditions_of(plan)["DatasetReady"] == ("False", "DatasetEmpty")


def test_a_prepare_that_may_heal_is_tried_again() -> None:
    """After its pause, under the next number."""
    world = run_world("isolated")
    world.change_job("prepare", failed=True, ended_at=after(0))
    world.see(pod("prepare", 1, **ends("prepare", 75, says("retryable", cause="the bucket did not answer"))))
    plan = world.look()
    assert (plan.actions, plan.again_in) == ((), 5.0)
    assert plan.status.message == "prepare is tried again: the bucket did not answer"
    world.seconds = 5
    assert created(world.look()) == ["Job tiny-tr-prepare-2"]


def test_a_dataset_whose_place_is_lost_is_prepared_again() -> None:
    """The Job is done, but its pod, which said where the dataset lies, is gone; an equal dataset is found at once."""
    world = run_world("isolated")
    world.change_job("prepare", complete=True)
    assert created(world.look()) == ["Job tiny-tr-prepare-2"]
    assert world.plan().actions == ()


def test_places_are_not_lost_for_ever() -> None:
    """A prepare that never says where the dataset lies ends the run."""
    world = run_world("isolated")
    world.see(*(job("prepare", number, complete=True) for number in range(1, 21)))
    assert failed_with(world.look())[0] == "PrepareFailed"


def test_a_prepare_that_waits_says_for_what() -> None:
    """And is not stalled: a node may come."""
    world = run_world("isolated")
    world.see(pod("prepare", 1, unschedulable="0/1 nodes are available: 1 Insufficient memory."))
    plan = world.look()
    assert plan.status.phase == "Preparing"
    assert "Insufficient memory" in plan.status.message
    assert conditions_of(plan)["Ready"] == ("False", "PrepareWaiting")
    assert "Stalled" not in conditions_of(plan)


@pytest.mark.parametrize(
    ("stage", "role", "attempt"), [("new", "preflight", 1), ("checked", "sandbox", 0), ("isolated", "prepare", 1)]
)
def test_a_pod_that_its_node_does_not_start_shows(stage: str, role: str, attempt: int) -> None:
    """No event tells of it, so it is looked for: a RuntimeClass may be there without gVisor on the node."""
    world = run_world(stage)
    world.settle()
    world.see(pod(role, attempt, bare_since=after(0)))
    assert world.look().again_in == 10.0
    world.seconds = 30
    assert "has a node that does not start it" in world.look().status.message
