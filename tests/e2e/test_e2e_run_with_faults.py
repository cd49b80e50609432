"""One run on the real cluster, from apply to delete, while its pods and the operator's are killed.

The tests are in order and share the run: one start of vLLM and one training carry them all.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deployment import NAMESPACE, SYSTEM_NAMESPACE, Cluster

from deepcoder_api.artifacts import RunPaths
from deepcoder_data.folders import download_folder
from deepcoder_data.head import read_head
from deepcoder_data.store import ObjectStore
from tests.e2e.resources import Document, Resources, condition, evaluation, kill, phase, training_run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

NAME = "e2e-faults"
STEPS, EVERY, PROMPTS, SAMPLES = 20, 3, 8, 4
HOSTILE = {
    "an infinite loop": ("while True: pass", "time_limit"),
    "a fork bomb": ("import os\nwhile True: os.fork()", None),
    "a memory hog": ("x = bytearray(1 << 32)\nprint(2 * int(input()))", "memory_limit"),
    "an early exit": ("import sys\nsys.exit(0)", "wrong_answer"),
}
# Asks the run's own sandbox from inside the trainer pod, the only place that may reach it.
GRADE = """
import asyncio, json, sys
from deepcoder_api.grading import Limits
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client import SandboxClient
async def main(url, programs):
    suite = TestSuite(tests=tuple(StdinTest(input=f"{n}\\n", output=f"{2 * n}\\n") for n in (7, 12)))
    limits = Limits(timeout_seconds=3, memory_mib=256, output_mib=1, processes=16)
    async with SandboxClient(url) as client:
        for program in programs:
            result = await client.grade(suite, program, id="e2e", limits=limits, deadline_seconds=240)
            print(json.dumps({"verdict": result.verdict, "detail": result.detail}), flush=True)
asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""
# A grade that takes long enough for its server to die under it.
LONG_GRADE = """
import asyncio, sys, time
from deepcoder_api.grading import Limits
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client import SandboxClient
async def main(url):
    suite = TestSuite(tests=(StdinTest(input="7\\n", output="14\\n"),))
    program = "import time; time.sleep(6); print(2 * int(input()))"
    async with SandboxClient(url) as client:
        begun = time.monotonic()
        result = await client.grade(suite, program, id="e2e", limits=Limits(timeout_seconds=12), deadline_seconds=240)
        print(result.verdict, time.monotonic() - begun)
asyncio.run(main(sys.argv[1]))
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"


@dataclass
class Story:
    """What earlier tests of this module saw."""

    run: Document
    waiting: Document
    facts: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(resources: Resources) -> Story:
    """The run, and an Evaluation that waits for it, applied together."""
    stages = [
        {"name": "short", "maxResponseTokens": 46, "steps": 6},
        {"name": "long", "maxResponseTokens": 64, "steps": STEPS - 6},
    ]
    run = training_run(
        NAME,
        algorithm={"promptsPerStep": PROMPTS, "samplesPerPrompt": SAMPLES},
        stages=stages,
        checkpoint={"everySteps": EVERY, "keepLast": 2},
    )
    waiting = evaluation(f"{NAME}-after", model={"trainingRun": {"name": NAME}})
    del waiting["spec"]["model"]["uri"]
    return Story(resources.apply(run), resources.apply(waiting))


def step_of(resource: Document) -> int:
    """Steps done, as status says."""
    return resource["status"].get("step") or 0


def exec_in(cluster: Cluster, pod: Document, *command: str, seconds: float = 300) -> str:
    """What a command in a pod's first container prints."""
    name = pod["metadata"]["name"]
    return cluster.kubectl("-n", NAMESPACE, "exec", name, "--", *command, seconds=seconds)


def test_an_evaluation_of_an_unfinished_run_waits_and_says_so(resources: Resources, story: Story) -> None:
    """It makes no pod meanwhile."""
    seen = resources.wait(story.waiting, "Waiting", phase("Waiting"), 60)
    assert f'waiting for the TrainingRun "{NAME}"' in seen["status"]["message"]
    assert resources.pods(seen, "engine") == []


def test_the_run_trains_once_its_sandbox_has_shown_isolation(resources: Resources, story: Story) -> None:
    """Preflight, the dataset, the canary in gVisor, then Training and Ready."""
    seen = resources.wait(story.run, "Training", phase("Training"))
    assert condition(seen, "PreflightPassed")["status"] == "True"
    assert condition(seen, "DatasetReady")["status"] == "True"
    assert condition(seen, "IsolationVerified")["status"] == "True"
    assert condition(seen, "Ready")["status"] == "True"
    assert seen["status"]["attempt"] == 1


def test_hostile_programs_fail_and_the_next_honest_one_passes(
    cluster: Cluster, resources: Resources, story: Story
) -> None:
    """In the run's own sandbox pod, beside its training: each is graded as a failure, and harms no neighbour."""
    [trainer] = resources.pods(story.run, "trainer")
    honest = "print(2 * int(input()))"
    programs = [program for hostile, _ in HOSTILE.values() for program in (hostile, honest)]
    url = f"http://{NAME}-tr-sandbox.{NAMESPACE}.svc:8000"
    said = exec_in(cluster, trainer, "python3", "-c", GRADE, url, json.dumps(programs))
    results = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert len(results) == len(programs)
    for (name, (_, verdict)), result, after in zip(HOSTILE.items(), results[0::2], results[1::2], strict=True):
        assert result["verdict"] not in ("accepted", "internal_error"), (name, result)
        assert verdict is None or result["verdict"] == verdict, (name, result)
        assert after["verdict"] == "accepted", (name, after)


def test_no_stranger_reaches_the_rollout_servers_or_the_sandbox(
    cluster: Cluster, resources: Resources, story: Story
) -> None:
    """vLLM's own routes are unauthenticated: the network policies let only the trainer through."""
    [rollout], [sandbox] = resources.pods(story.run, "rollout"), resources.pods(story.run, "sandbox")
    [trainer] = resources.pods(story.run, "trainer")
    [stranger] = cluster.items("pods", "app=seaweedfs", NAMESPACE)
    for pod, port in ((rollout, 8801), (rollout, 8800), (sandbox, 8000)):
        address = pod["status"]["podIP"]
        exec_in(cluster, trainer, "python3", "-c", CONNECT, address, str(port))
        name = stranger["metadata"]["name"]
        refused = cluster.try_kubectl(
            *("-n", NAMESPACE, "exec", name, "--", "python3", "-c", CONNECT, address, str(port)), seconds=60
        )
        assert refused.returncode != 0
        assert "timed out" in refused.stderr or "TimeoutError" in refused.stderr, refused.stderr


def test_a_killed_trainer_goes_on_from_the_last_checkpoint(
    cluster: Cluster, resources: Resources, story: Story
) -> None:
    """The next attempt takes up the last committed checkpoint and replays what the journal has after it."""
    seen = resources.wait(
        story.run, "a checkpoint", lambda run: step_of(run) > EVERY and "lastCheckpoint" in run["status"]
    )
    checkpoint = seen["status"]["lastCheckpoint"]["step"]
    [trainer] = resources.pods(story.run, "trainer")
    kill(cluster, trainer)
    seen = resources.wait(
        story.run,
        "attempt 2 in training",
        lambda run: run["status"].get("attempt") == 2 and run["status"]["phase"] == "Training",
    )
    assert step_of(seen) >= checkpoint
    assert seen["status"]["restarts"] == 0, "a pod that was taken away is nobody's fault"
    story.facts["checkpoint"] = checkpoint


def test_rollout_sandbox_and_operator_pods_may_be_killed(cluster: Cluster, resources: Resources, story: Story) -> None:
    """All at once: the run goes on by itself, in the same attempt, and nothing is graded wrong for it."""
    [rollout], [sandbox] = resources.pods(story.run, "rollout"), resources.pods(story.run, "sandbox")
    [operator] = cluster.items("pods", "app.kubernetes.io/name=deepcoder-operator", SYSTEM_NAMESPACE)
    before = step_of(resources.get("TrainingRun", NAME))
    for pod, namespace in ((rollout, NAMESPACE), (sandbox, NAMESPACE), (operator, SYSTEM_NAMESPACE)):
        kill(cluster, pod, namespace)
    seen = resources.wait(story.run, "progress after it", lambda run: step_of(run) >= min(before + 2, STEPS))
    assert seen["status"]["attempt"] == 2


def test_a_sandbox_whose_kernel_dies_costs_seconds(cluster: Cluster, resources: Resources, story: Story) -> None:
    """SIGKILL to gVisor itself, as when memory ends: nobody closes its connections, and the grade comes yet."""
    seen = resources.wait(
        story.run, "a ready sandbox", lambda run: condition(run, "Ready").get("status") == "True", seconds=120
    )
    [sandbox], [trainer] = resources.pods(seen, "sandbox"), resources.pods(seen, "trainer")
    url = f"dns+http://{NAME}-tr-sandbox.{NAMESPACE}.svc:8000"
    with ThreadPoolExecutor(1) as pool:
        grade = pool.submit(exec_in, cluster, trainer, "python3", "-c", LONG_GRADE, url)
        time.sleep(4)
        assert kill_gvisor(sandbox) > 0
        verdict, seconds = grade.result().splitlines()[-1].split()  # after what the client logs
    assert verdict == "accepted"
    assert float(seconds) < 120


def test_the_run_succeeds_with_a_whole_checkpoint(
    resources: Resources, story: Story, store: ObjectStore, tmp_path: Path
) -> None:
    """complete.json holds, head.json names it and the attempt, and the status says where the model lies."""
    seen = resources.wait(story.run, "Succeeded", phase("Succeeded"))
    status, uri = seen["status"], seen["status"]["lastCheckpoint"]["uri"]
    assert status["step"] == STEPS
    assert status["model"]["uri"] == f"{uri}/model"
    assert condition(seen, "Complete")["status"] == "True"
    completion = download_folder(store, uri, tmp_path)
    assert {"model/config.json", "model/model.safetensors", "state.json"} <= {file.path for file in completion.files}
    head = read_head(store, paths_of(seen).head)
    assert head is not None
    assert (head[0].attempt, head[0].checkpoint, head[0].step) == (2, uri, STEPS)


def test_no_prompt_was_lost_or_doubled(resources: Resources, story: Story, store: ObjectStore) -> None:
    """Every step has its samples once; over all steps each prompt of the first epoch is drawn exactly once."""
    run = resources.get("TrainingRun", NAME)
    drawn: list[str] = []
    for step in range(1, STEPS + 1):
        table = pq.read_table(io.BytesIO(store.get_bytes(paths_of(run).samples(step)))).to_pylist()
        assert len(table) == PROMPTS * SAMPLES
        assert {len(row["answer_ids"]) == len(row["log_probabilities"]) for row in table} == {True}
        assert "internal_error" not in {row["verdict"] for row in table}
        prompts = [row["problem"] for row in table]
        assert sorted(prompts.count(prompt) for prompt in set(prompts)) == [SAMPLES] * PROMPTS
        drawn += set(prompts)
    assert len(drawn) == len(set(drawn)) == STEPS * PROMPTS


def test_gpus_are_free_soon_after_the_end(resources: Resources, story: Story) -> None:
    """Rollout and sandbox pods go as soon as the run has ended; finished Jobs stay for their logs."""
    deadline = time.monotonic() + 60
    while resources.pods(story.run, "rollout") or resources.pods(story.run, "sandbox"):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_waiting_evaluation_measures_what_the_run_made(resources: Resources, story: Story) -> None:
    """It froze the run's last checkpoint, and its pass@1 is on the status."""
    seen = resources.wait(story.waiting, "Succeeded", phase("Succeeded"))
    run = resources.get("TrainingRun", NAME)
    assert seen["status"]["model"] == run["status"]["model"]["uri"]
    [score] = seen["status"]["scores"]
    assert score["problems"] >= 100
    assert 0 < seen["status"]["passAt1"] <= 1


def test_deleting_the_run_removes_all_it_owned_and_leaves_s3(
    resources: Resources, story: Story, store: ObjectStore
) -> None:
    """`kubectl delete dctr`: no object with its uid is left, and the checkpoint is."""
    run = resources.get("TrainingRun", NAME)
    assert resources.owned(run)
    resources.delete("TrainingRun", NAME)
    deadline = time.monotonic() + 60
    while resources.owned(run):
        assert time.monotonic() < deadline, resources.owned(run)
        time.sleep(1)
    assert store.exists(f"{run['status']['lastCheckpoint']['uri']}/complete.json")


def kill_gvisor(pod: Document) -> int:
    """Kill the kernels of a pod, from its node: the processes of runsc in its cgroup. Returns how many there were."""
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(b"runsc-sandbox\0"):
                cgroup = (process / "cgroup").read_text().replace("_", "-")
                if pod["metadata"]["uid"] in cgroup:
                    os.kill(int(process.name), signal.SIGKILL)
                    killed += 1
    return killed


def paths_of(run: Document) -> RunPaths:
    """Where the run's things lie."""
    meta = run["metadata"]
    return RunPaths(run["spec"]["storage"]["uri"], meta["namespace"], meta["name"], meta["uid"])
