"""An Evaluation waits for its run, is measured once there is a model, and frees its pods."""

from __future__ import annotations

from deepcoder_api.evaluation_status import BenchmarkScore
from tests.integration.operator.cluster_hand import Hand, eventually
from tests.operator_builders import evaluation_spec, run_spec

OF_THE_RUN = {"trainingRun": {"name": "tiny", "checkpoint": {"latest": {}}}}


def _spec() -> dict[str, object]:
    return {**evaluation_spec(), "model": OF_THE_RUN}


def test_an_evaluation_waits_for_its_run_and_then_scores_its_model(hand: Hand) -> None:
    """It says what it waits for, wakes when the run ends, and has the score on its status."""
    uid = hand.create("Evaluation", "after", spec=_spec())["metadata"]["uid"]
    status = hand.phase("Evaluation", "after", "Waiting")
    assert 'waiting for the TrainingRun "tiny"' in status["message"]
    assert "which is not there yet" in status["message"]
    assert hand.owned(uid) == {}

    hand.create("TrainingRun", "tiny", spec=run_spec())
    hand.condition("Evaluation", "after", "Ready", "False", "TrainingRunNotFinished")
    _run_succeeds(hand)
    hand.end_pod("after", "preflight", "done")
    assert eventually("the model", lambda: hand.status("Evaluation", "after").get("model")) == "s3://bucket/made"
    hand.run_pod("after", "sandbox")
    hand.run_pod("after", "engine")
    hand.pod("after", "evaluator")
    score = BenchmarkScore(name="held-out", problems=100, pass_at_1=0.75)
    hand.end_pod("after", "evaluator", "done", uri="s3://bucket/report.json", scores=(score,))
    status = hand.phase("Evaluation", "after", "Succeeded")
    assert (status["passAt1"], status["report"]) == (0.75, "s3://bucket/report.json")
    eventually("release of the engine", lambda: "Deployment" not in hand.owned(uid))


def test_an_evaluation_of_a_run_that_failed_fails_with_its_cause(hand: Hand) -> None:
    """It does not wait for what will never come."""
    hand.create("Evaluation", "after", spec=_spec())
    hand.create("TrainingRun", "tiny", spec=run_spec(algorithm={"optimizerStepsPerStep": 3}))
    status = hand.phase("Evaluation", "after", "Failed")
    assert 'the TrainingRun "tiny" has failed' in status["message"]
    assert "optimizerStepsPerStep" in status["message"]


def test_an_evaluation_is_suspended_and_goes_on(hand: Hand) -> None:
    """By kubectl's patch: its Deployments go and come back, with no second preflight; at its end its Jobs live on
    as long as is said."""
    uid = hand.create("Evaluation", "paused", spec=evaluation_spec(ttlSecondsAfterFinished=3600))["metadata"]["uid"]
    hand.end_pod("paused", "preflight", "done")
    hand.run_pod("paused", "sandbox")
    hand.run_pod("paused", "engine")
    hand.pod("paused", "evaluator")
    hand.phase("Evaluation", "paused", "Running")
    hand.patch_spec("Evaluation", "paused", {"suspend": True})
    status = hand.phase("Evaluation", "paused", "Suspended")
    assert "startTime" not in status
    eventually("the end of all pods", lambda: not {"Deployment", "Service"} & hand.owned(uid).keys())
    eventually("the end of the evaluator", lambda: len(hand.owned(uid).get("Job", [])) == 1)
    hand.patch_spec("Evaluation", "paused", {"suspend": False})
    hand.condition("Evaluation", "paused", "Suspended", "False", "Resumed")
    eventually("both Deployments", lambda: len(hand.owned(uid).get("Deployment", [])) == 2)
    hand.run_pod("paused", "sandbox")
    hand.run_pod("paused", "engine")
    hand.pod("paused", "evaluator")
    hand.end_pod("paused", "evaluator", "done", uri="s3://bucket/report.json", scores=())
    hand.phase("Evaluation", "paused", "Succeeded")
    hand.patch_spec("Evaluation", "paused", {"ttlSecondsAfterFinished": 0})
    eventually("the end of all Jobs", lambda: "Job" not in hand.owned(uid))
    assert hand.status("Evaluation", "paused")["phase"] == "Succeeded"


def _run_succeeds(hand: Hand) -> None:
    hand.pod("tiny", "preflight")
    hand.patch_status("TrainingRun", "tiny", {"phase": "Succeeded", "model": {"uri": "s3://bucket/made"}})
