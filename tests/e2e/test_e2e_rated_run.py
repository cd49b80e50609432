"""A run whose problems the base model rates first, asynchronous and validated, and a fork of it, on the real cluster.

The tests are in order and share the runs.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from deployment import NAMESPACE, Cluster
from quickstart import base_uri
from safetensors.torch import load

from benchmarks.trainer.step_log import events
from deepcoder_api.artifacts import RunPaths
from deepcoder_api.processes import AGENT_PORT
from deepcoder_data.dataset import load_problems, read_report
from deepcoder_data.store import ObjectStore
from deepcoder_trainer.orchestrator.journal import from_parquet
from tests.e2e.resources import Document, Resources, condition, kill, phase, training_run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

NAME, FORK = "e2e-rated", "e2e-rated-fork"
PREFIX = "s3://deepcoder/e2e/rated"
PROBLEMS, ANSWERS, RATED_BEFORE_THE_KILL = 96, 4, 8
STEPS, PROMPTS, SAMPLES = 4, 4, 4
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"


@dataclass
class Story:
    """What earlier tests of this module saw."""

    run: Document
    facts: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(resources: Resources, store: ObjectStore) -> Story:
    """The run, of some of the quickstart's problems, none of which was ever rated."""
    store.delete_folder(PREFIX)
    for name, count in (("training", PROBLEMS), ("held-out", 16)):
        lines = store.get_bytes(f"{base_uri(0)}/{name}.jsonl").splitlines(keepends=True)
        store.put_bytes(f"{PREFIX}/{name}.jsonl", b"".join(lines[:count]))
    return Story(resources.apply(rated_run(NAME)))


def rated_run(name: str, **parts: Any) -> Document:
    """A run that rates, trains one step ahead of its weights and measures itself twice."""
    # Made from one pattern, they are near to what is trained on.
    held_out = {"name": "held-out", "format": "jsonl", "uri": f"{PREFIX}/held-out.jsonl", "similarity": 1}
    return training_run(
        name,
        data={
            "sources": [{"name": "training", "format": "jsonl", "uri": f"{PREFIX}/training.jsonl"}],
            "difficulty": {"samplesPerPrompt": ANSWERS, "keepAbove": 0, "keepBelow": 1},
        },
        validation={"everySteps": 2, "sources": [held_out]},
        algorithm={"promptsPerStep": PROMPTS, "samplesPerPrompt": SAMPLES, "maxStaleness": 1},
        stages=[{"name": "only", "maxResponseTokens": 64, "steps": STEPS}],
        checkpoint={"everySteps": 2, "keepLast": 1},
        **{"storage": {"uri": PREFIX}, "optimizer": {"warmupSteps": 1}, **parts},
    )


def ratings(store: ObjectStore) -> set[str]:
    """The objects of answers, one a problem."""
    return {entry.uri for entry in store.list(f"{PREFIX}/ratings")}


def prepared(cluster: Cluster, run: Document) -> dict[str, Any]:
    """What the last preparation said it had rated."""
    labels = f"deepcoder.dev/owner-uid={run['metadata']['uid']},deepcoder.dev/role=prepare"
    log = cluster.kubectl("-n", NAMESPACE, "logs", "-l", labels, "--tail=-1")
    return next(event for event in reversed(events(log)) if event["event"] == "rated")


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 300) -> None:
    """Ask often, for what lasts a second or two only."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def test_servers_of_the_base_model_are_there_before_any_trainer(
    cluster: Cluster, resources: Resources, story: Story
) -> None:
    """The run is preparing and says so; preparation may ask its servers for answers, and order them nothing."""

    def both_run(run: Document) -> bool:
        pods = [*resources.pods(run, "rollout"), *resources.pods(run, "prepare")]
        return [pod["status"]["phase"] for pod in pods] == ["Running", "Running"]

    seen = resources.wait(story.run, "a preparation and its server", both_run)
    assert seen["status"]["phase"] == "Preparing"
    assert resources.pods(seen, "trainer") == []
    [server], [preparing] = resources.pods(seen, "rollout"), resources.pods(seen, "prepare")
    refused = cluster.try_kubectl(
        *("-n", NAMESPACE, "exec", preparing["metadata"]["name"], "--"),
        *("python3", "-c", CONNECT, server["status"]["podIP"], str(AGENT_PORT)),
    )
    assert refused.returncode != 0
    assert "timed out" in refused.stderr or "TimeoutError" in refused.stderr, refused.stderr
    story.facts["server"] = server["metadata"]["uid"]


def test_a_killed_preparation_asks_only_for_what_was_not_rated(
    cluster: Cluster, resources: Resources, story: Story, store: ObjectStore
) -> None:
    """All problems are rated once, over both preparations."""
    wait_until("answers", lambda: len(ratings(store)) >= RATED_BEFORE_THE_KILL)
    [preparing] = resources.pods(story.run, "prepare")
    kill(cluster, preparing)
    before = len(ratings(store))
    assert before < PROBLEMS, "the preparation was done before it was killed"
    seen = resources.wait(story.run, "the dataset", lambda run: condition(run, "DatasetReady").get("status") == "True")
    said = prepared(cluster, story.run)
    assert said["sampled_before"] >= RATED_BEFORE_THE_KILL
    assert said["sampled_before"] + said["sampled"] == PROBLEMS
    assert len(ratings(store)) == PROBLEMS
    story.facts["dataset"] = seen["status"]["dataset"]


def test_the_dataset_holds_what_some_answers_solve_and_some_do_not(store: ObjectStore, story: Story) -> None:
    """By the answers that are kept in S3; the report counts what was dropped as too hard and too easy."""
    solved: dict[str, int] = {}
    for uri in ratings(store):
        samples = from_parquet(store.get_bytes(uri)).samples
        assert len(samples) == ANSWERS
        solved[samples[0].problem_id] = sum(one.reward == 1 for one in samples)
    kept = {name for name, count in solved.items() if 0 < count < ANSWERS}
    assert len(kept) >= STEPS * PROMPTS
    assert set(load_problems(store, story.facts["dataset"])) == kept
    report = read_report(store, story.facts["dataset"])
    assert report is not None
    assert report.difficulty is not None
    assert report.difficulty.problems == PROBLEMS
    counts = {"too_hard": list(solved.values()).count(0), "too_easy": list(solved.values()).count(ANSWERS)}
    assert report.dropped == {reason: count for reason, count in counts.items() if count}


def test_the_servers_that_rated_then_sample_the_training(resources: Resources, story: Story) -> None:
    """The same pod, from the first rating to the first step: the base model is loaded once."""
    seen = resources.wait(story.run, "a step", lambda run: (run["status"].get("step") or 0) > 0)
    servers = [pod["metadata"]["uid"] for pod in resources.pods(seen, "rollout")]
    assert seen["status"]["phase"] == "Succeeded" or servers == [story.facts["server"]]


def test_it_trains_on_what_was_kept_one_step_ahead_and_measures_itself(
    resources: Resources, store: ObjectStore, story: Story
) -> None:
    """Every prompt once, answers at most one version old, and a score in the status."""
    seen = resources.wait(story.run, "Succeeded", phase("Succeeded"))
    kept, drawn = set(load_problems(store, story.facts["dataset"])), list[str]()
    for step in range(1, STEPS + 1):
        rows = pq.read_table(io.BytesIO(store.get_bytes(paths_of(seen).samples(step)))).to_pylist()
        assert len(rows) == PROMPTS * SAMPLES
        assert {version for row in rows for version in row["versions"]} <= {max(0, step - 2), step - 1}
        drawn += {row["problem"] for row in rows}
    assert len(drawn) == len(set(drawn)) == STEPS * PROMPTS
    assert set(drawn) <= kept
    assert seen["status"]["validation"]["step"] == STEPS
    assert 0 < seen["status"]["validation"]["score"] <= 1
    story.facts["checkpoint"] = seen["status"]["lastCheckpoint"]["uri"]


def test_a_fork_begins_with_the_checkpoint_and_rates_nothing_anew(
    resources: Resources, store: ObjectStore, story: Story
) -> None:
    """The same dataset, no second rating, steps from 1; with steps of next to nothing its weights are the other's."""
    still = {"learningRate": 1e-12, "warmupSteps": 0}
    fork = resources.apply(rated_run(FORK, resumeFrom={"uri": story.facts["checkpoint"]}, optimizer=still))
    seen = resources.wait(fork, "Succeeded", phase("Succeeded"))
    assert seen["status"]["dataset"] == story.facts["dataset"]
    assert len(ratings(store)) == PROBLEMS
    assert seen["status"]["step"] == STEPS
    base, began = weights(store, f"{base_uri(0)}/model"), weights(store, f"{story.facts['checkpoint']}/model")
    ended = weights(store, seen["status"]["model"]["uri"])
    assert began.keys() == ended.keys()
    assert max(float((ended[name] - began[name]).abs().max()) for name in began) < 1e-8
    assert max(float((base[name] - began[name]).abs().max()) for name in began) > 1e-4
    first = pq.read_table(io.BytesIO(store.get_bytes(paths_of(seen).samples(1)))).to_pylist()
    assert {version for row in first for version in row["versions"]} == {0}


def weights(store: ObjectStore, model: str) -> dict[str, torch.Tensor]:
    """A model's weights by name."""
    return {name: value.float() for name, value in load(store.get_bytes(f"{model}/model.safetensors")).items()}


def paths_of(run: Document) -> RunPaths:
    """Where the run's things lie."""
    meta = run["metadata"]
    return RunPaths(run["spec"]["storage"]["uri"], meta["namespace"], meta["name"], meta["uid"])
