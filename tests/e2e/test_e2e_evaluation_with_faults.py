"""An Evaluation on the real cluster whose evaluator, sandbox and engine are killed as pods, against a quiet one.

The quiet one asks the engine that the first keeps up (`serve`) by its address, so that one model is loaded for both.
One request is in flight at a time: vLLM on a CPU computes an answer a little otherwise with others beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from deployment import NAMESPACE, Cluster
from quickstart import base_uri

from deepcoder_data.store import ObjectStore
from tests.e2e.resources import (
    Document,
    Resources,
    endpoint_evaluation,
    evaluation,
    evaluation_paths,
    kill,
    phase,
    report_of,
    samples_of,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAME, QUIET = "e2e-ev-faults", "e2e-ev-quiet"
PROBLEMS = 48
URI = f"s3://deepcoder/e2e/held-out-{PROBLEMS}.jsonl"
SECONDS = 300.0


@dataclass
class Story:
    """What earlier tests of this module saw."""

    killed: Document
    pods: dict[str, str]


def parts() -> dict[str, Any]:
    """What both evaluations say alike."""
    return {"benchmarks": [{"name": "held-out", "kind": "jsonl", "uri": URI}], "maxInFlight": 1}


@pytest.fixture(scope="module")
def story(store: ObjectStore, resources: Resources) -> Story:
    """The evaluation that will be disturbed, applied."""
    rows = store.get_bytes(f"{base_uri(0)}/held-out.jsonl").splitlines(keepends=True)[:PROBLEMS]
    store.put_bytes(URI, b"".join(rows))
    engine = {"extraArgs": ["--no-enable-prefix-caching"]}
    return Story(resources.apply(evaluation(NAME, engine=engine, serve=True, **parts())), {})


def rows_of(store: ObjectStore, resource: Document) -> list[dict[str, Any]]:
    """Its answers and verdicts, less what tells the time."""
    columns = ["problem", "sample", "seed", "prompt", "answer", "finish_reason", "answer_tokens", "verdict",
               "test_verdicts"]  # fmt: skip
    return samples_of(store, resource, columns)


def answered(store: ObjectStore, count: int) -> Callable[[Document], bool]:
    """Whether so many answers are in S3, which tells it sooner than the status, or the evaluation has ended."""
    return lambda seen: kept(store, seen, "answers") >= count or phase("Succeeded")(seen)


def kept(store: ObjectStore, resource: Document, folder: str) -> int:
    """Records of a folder."""
    return sum(1 for _ in store.list(f"{evaluation_paths(resource).root}/{folder}"))


def test_its_pods_are_killed_one_after_the_other(
    cluster: Cluster, resources: Resources, story: Story, store: ObjectStore
) -> None:
    """The evaluator after the first answers, then the sandbox and the engine at once."""
    seen = resources.wait(story.killed, "answers", answered(store, 4), SECONDS)
    [evaluator] = resources.pods(seen, "evaluator")
    kill(cluster, evaluator)
    story.pods["evaluator"] = evaluator["metadata"]["uid"]

    def another(now: Document) -> bool:
        pods = resources.pods(now, "evaluator")
        return any(pod["metadata"]["uid"] != story.pods["evaluator"] for pod in pods) or phase("Succeeded")(now)

    resources.wait(seen, "another evaluator", another, 60)
    seen = resources.wait(seen, "more answers", answered(store, 12), SECONDS)
    for role in ("sandbox", "engine"):
        [pod] = resources.pods(seen, role)
        story.pods[role] = pod["metadata"]["uid"]
        kill(cluster, pod)
    assert seen["status"]["phase"] == "Running", "it was over before its engine could be killed"


def test_it_goes_on_with_what_was_answered_and_succeeds(
    cluster: Cluster, resources: Resources, story: Story, store: ObjectStore
) -> None:
    """The second evaluator finds the first one's answers; every problem has one answer and one grade in S3."""
    seen = resources.wait(story.killed, "Succeeded", phase("Succeeded"), SECONDS)
    assert f"{NAME} is served at http://{NAME}-ev-engine.{NAMESPACE}.svc:8801/v1" in seen["status"]["message"]
    [engine] = resources.pods(seen, "engine")
    assert engine["metadata"]["uid"] != story.pods["engine"]
    log = cluster.kubectl("-n", NAMESPACE, "logs", f"job/{NAME}-ev-evaluator-2", "--tail=-1")
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    [found] = [event["answers"] for event in events if event.get("event", "").startswith("going on where")]
    assert found >= 4
    assert (kept(store, seen, "answers"), kept(store, seen, "grades")) == (PROBLEMS, PROBLEMS)


def test_its_report_is_that_of_a_quiet_day(resources: Resources, story: Story, store: ObjectStore) -> None:
    """Asked of the model that is still served, by its address: the same answers, verdicts and scores."""
    endpoint = {"url": f"http://{NAME}-ev-engine.{NAMESPACE}.svc:8801/v1", "name": NAME}
    applied = resources.apply(endpoint_evaluation(QUIET, endpoint, **parts()))
    quiet = resources.wait(applied, "Succeeded", phase("Succeeded"), SECONDS)
    assert resources.pods(quiet, "engine") == []
    killed = resources.get("Evaluation", NAME)
    rows = rows_of(store, killed)
    assert len(rows) == PROBLEMS
    assert rows == rows_of(store, quiet)
    [one], [other] = report_of(store, killed).benchmarks, report_of(store, quiet).benchmarks
    assert one == other
    assert killed["status"]["scores"] == quiet["status"]["scores"]


def test_a_suspended_one_serves_no_longer(cluster: Cluster, resources: Resources, story: Story) -> None:
    """`kubectl patch` frees the engine, and the scores stay."""
    patch = json.dumps({"spec": {"suspend": True}})
    cluster.kubectl("-n", NAMESPACE, "patch", "dcev", NAME, "--type=merge", "-p", patch)
    seen = resources.wait(story.killed, "no engine", lambda now: not resources.pods(now, "engine"), 60)
    assert seen["status"]["phase"] == "Succeeded"
    assert 0 <= seen["status"]["passAt1"] <= 1
