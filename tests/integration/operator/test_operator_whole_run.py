"""A TrainingRun from apply to its model, on a real API server with real controllers. The test plays the kubelet."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deepcoder_api.lifecycle import Progress
from deepcoder_api.processes import ORCHESTRATOR_PORT
from tests.integration.operator.cluster_hand import POD_ADDRESS, Hand, eventually
from tests.integration.operator.operator_process import OperatorProcess
from tests.operator_builders import run_spec

DATASET = "s3://bucket/prefix/datasets/abc"


class Orchestrator:
    """An orchestrator's progress endpoint, that tells what the test says."""

    def __init__(self) -> None:
        self.progress = Progress(attempt=0, state="starting", step=0, total_steps=5)

    def says(self, **progress: Any) -> None:
        """From now on it tells this."""
        self.progress = Progress(total_steps=5, **progress)


@pytest.fixture
def orchestrator() -> Iterator[Orchestrator]:
    """Listens where the operator looks for the orchestrator of a pod that `Hand.run_pod` runs."""
    told = Orchestrator()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = told.progress.model_dump_json().encode()
            self.send_response(200 if self.path == "/v1/progress" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((POD_ADDRESS, ORCHESTRATOR_PORT), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_run_goes_from_applied_to_its_model(
    hand: Hand, operator: OperatorProcess, orchestrator: Orchestrator
) -> None:
    """Each part starts when the one before it is done; a lost operator and a failed attempt cost no step of the way."""
    uid = hand.create("TrainingRun", "tiny", spec=run_spec())["metadata"]["uid"]

    _preflight(hand, uid)
    _dataset(hand)
    _first_attempt(hand, orchestrator)
    operator.stop()
    hand.end_pod("tiny", "trainer", "retryable", 1, reason="RankDied", cause="a rank died at step 2", step=2)
    operator.start()
    _second_attempt(hand, orchestrator)
    _good_end(hand, uid)


def _preflight(hand: Hand, uid: str) -> None:
    hand.pod("tiny", "preflight")
    job = hand.get("Job", "tiny-tr-preflight-1")
    assert job is not None
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("TrainingRun", uid, True)
    assert set(hand.owned(uid)) == {
        "Job", "Pod", "Service", "ConfigMap", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget",
    }  # fmt: skip
    frozen = hand.get("ConfigMap", "tiny-tr-config")
    assert frozen is not None
    assert frozen["immutable"]
    assert json.loads(frozen["data"]["config.json"])["algorithm"]["clip_high"] == 0.28
    hand.end_pod("tiny", "preflight", "done")
    hand.condition("TrainingRun", "tiny", "PreflightPassed", "True")


def _dataset(hand: Hand) -> None:
    pod = hand.pod("tiny", "sandbox")
    sandbox = hand.get("Pod", pod)
    assert sandbox is not None
    assert sandbox["spec"]["runtimeClassName"] == "gvisor"
    assert hand.get("Deployment", "tiny-tr-rollout") is None
    hand.run_pod("tiny", "sandbox")
    hand.condition("TrainingRun", "tiny", "IsolationVerified", "True")
    hand.end_pod("tiny", "prepare", "done", uri=DATASET, cause="12 of 12 problems verified")
    hand.condition("TrainingRun", "tiny", "DatasetReady", "True")


def _first_attempt(hand: Hand, orchestrator: Orchestrator) -> None:
    hand.run_pod("tiny", "rollout")
    orchestrator.says(attempt=1, state="training", stage="short", step=2, reward=0.5, policy_version=2)
    hand.run_pod("tiny", "trainer", 1)
    status = hand.phase("TrainingRun", "tiny", "Training")
    assert (status["step"], status["totalSteps"], status["reward"], status["stage"]) == (2, 5, 0.5, "short")
    assert status["rollout"]["selector"]
    hand.condition("TrainingRun", "tiny", "Ready", "True")


def _second_attempt(hand: Hand, orchestrator: Orchestrator) -> None:
    orchestrator.says(attempt=2, state="training", stage="long", step=4, policy_version=4)
    hand.run_pod("tiny", "trainer", 2)
    failure = eventually("the failure of attempt 1", lambda: hand.status("TrainingRun", "tiny").get("failure"))
    assert (failure["attempt"], failure["cause"], failure["exitCode"]) == (1, "a rank died at step 2", 75)
    selector = (hand.get("Service", "tiny-tr-orchestrator") or {})["spec"]["selector"]
    assert selector["deepcoder.dev/attempt"] == "2"

    def trains_on() -> bool:
        status = hand.status("TrainingRun", "tiny")
        return (status["phase"], status.get("attempt"), status.get("stage")) == ("Training", 2, "long")

    eventually("training in attempt 2", trains_on)
    assert hand.status("TrainingRun", "tiny")["restarts"] == 1


def _good_end(hand: Hand, uid: str) -> None:
    hand.end_pod("tiny", "trainer", "done", 2, uri="s3://bucket/model", step=5)
    status = hand.phase("TrainingRun", "tiny", "Succeeded")
    assert (status["model"]["uri"], status["step"], status["lastCheckpoint"]["step"]) == ("s3://bucket/model", 5, 5)
    assert "failure" not in status

    def released() -> bool:
        return not {"Deployment", "Service", "PodDisruptionBudget"} & set(hand.owned(uid))

    eventually("release of what serves a run while it lives", released)
    assert {item["metadata"]["name"] for item in hand.owned(uid)["Job"]} == {
        "tiny-tr-preflight-1", "tiny-tr-prepare-1", "tiny-tr-trainer-1", "tiny-tr-trainer-2",
    }  # fmt: skip
    eventually("Event of the end", lambda: "Succeeded" in [reason for reason, _ in hand.events("tiny")])
    told = [reason for reason, _ in hand.events("tiny")]
    assert [reason for reason in told if reason in ("Pending", "Preparing", "Starting", "Training", "Succeeded")] == [
        "Pending", "Preparing", "Starting", "Training", "Starting", "Training", "Succeeded",
    ]  # fmt: skip
    assert told.count("AttemptEnded") == 1
    metadata = (hand.get("TrainingRun", "tiny") or {})["metadata"]
    assert "annotations" not in metadata
    assert "finalizers" not in metadata
