"""An evaluator's own process, killed ten times at random: the report of the quiet day, and nothing asked twice.

The bucket and the sandbox are real; the endpoint answers each problem with a program that is right for the even ones.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deepcoder_api.artifacts import EvaluationPaths
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_cli.local.addresses import free_port
from deepcoder_data.store import ObjectStore
from deepcoder_sandbox.local import LocalSandbox, start_local_sandbox
from tests.human_eval_endpoint import KEY, MODEL, Endpoint, serving
from tests.problem_builders import json_lines, problem
from tests.s3_server import S3Server
from tests.worker_process import run_worker, worker_environment

PROBLEMS, KILLS, IN_FLIGHT = 150, 10, 4
pytestmark = pytest.mark.timeout(600)


class Doubling(Endpoint):
    """Is asked to double a number, and triples it every other time. Answers take a moment, each another one."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.url = ""
        self._chance = random.Random(3)

    @property
    def numbers(self) -> list[int]:
        """The problems that were asked, in order."""
        return [number_of(body["messages"][-1]["content"]) for body in list(self.asked)]

    def text_for(self, body: dict[str, Any]) -> str:
        time.sleep(self._chance.random() * 0.2)
        factor = 2 + number_of(body["messages"][-1]["content"]) % 2
        return f"<think>\nhm\n</think>\n```python\nprint({factor} * int(input()))\n```"


def number_of(prompt: str) -> int:
    """Which problem a prompt states."""
    return int(prompt.partition("number ")[2].partition(".")[0])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    """One grading server: in gVisor where runsc is there."""
    with start_local_sandbox() as server:
        yield server


@pytest.fixture
def endpoint() -> Iterator[Doubling]:
    """It, served."""
    endpoint = Doubling()
    with serving(endpoint):
        yield endpoint


def evaluation_of(uid: str, bucket: str, s3: S3Server, endpoint: Doubling, problems: Path) -> ResolvedEvaluation:
    """An Evaluation of the endpoint, one request in flight for each of IN_FLIGHT."""
    spec = {
        "model": {"endpoint": {"url": endpoint.url, "name": MODEL}},
        "benchmarks": [{"name": "held-out", "kind": "jsonl", "uri": problems.as_uri()}],
        "sampling": {"temperature": 0, "maxTokens": 256},
        "maxInFlight": IN_FLIGHT,
        "storage": {"uri": f"s3://{bucket}", "endpoint": s3.endpoint},
    }
    return ResolvedEvaluation.model_validate(
        {"namespace": "team", "name": "doubling", "uid": uid, "spec": spec, "model_uri": endpoint.url,
         "model_name": MODEL}
    )  # fmt: skip


def arguments(endpoint: Doubling, sandbox: LocalSandbox) -> tuple[str, ...]:
    """As the operator starts it."""
    return "--engine", endpoint.url, "--sandbox", sandbox.url, "--port", str(free_port()), "--bind", "127.0.0.1"


def results(store: ObjectStore, evaluation: ResolvedEvaluation) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report and the samples, without what only time makes of them."""
    folder = folder_of(evaluation)
    told = EvaluationReport.model_validate_json(store.get_bytes(f"{folder}/report.json")).model_dump()
    rows = pq.read_table(io.BytesIO(store.get_bytes(f"{folder}/samples.parquet"))).drop(["seconds"]).to_pylist()
    return {**told, "seconds": 0}, rows


def folder_of(evaluation: ResolvedEvaluation) -> str:
    """Where its results lie."""
    paths = EvaluationPaths(evaluation.spec.storage.uri, evaluation.namespace, evaluation.name, evaluation.uid)
    return paths.root


def kept(store: ObjectStore, evaluation: ResolvedEvaluation) -> set[int]:
    """The problems whose answers are in the bucket."""
    records = (store.get_bytes(found.uri) for found in store.list(f"{folder_of(evaluation)}/answers"))
    return {int(json.loads(gzip.decompress(one))["problem"]) for one in records}


def test_an_evaluator_that_is_killed_ten_times_gives_the_report_of_the_quiet_day(
    s3: S3Server, store_of_environment: ObjectStore, bucket: str, endpoint: Doubling, sandbox: LocalSandbox,
    tmp_path: Path,
) -> None:  # fmt: skip
    """SIGKILL at any moment of it; what has an answer in the bucket is never asked again."""
    store, problems = store_of_environment, tmp_path / "problems.jsonl"
    test = {"kind": "stdin", "input": "21\n", "output": "42\n"}
    problems.write_bytes(
        json_lines([problem(str(n), prompt=f"Double the number {n}.", tests=[test]) for n in range(PROBLEMS)])
    )
    environment = {**s3.environment, "OPENAI_API_KEY": KEY}
    quiet = evaluation_of("0" * 16, bucket, s3, endpoint, problems)
    ended = run_worker(
        "deepcoder_evaluation.evaluator", quiet, tmp_path / "quiet", *arguments(endpoint, sandbox),
        environment=environment,
    )  # fmt: skip
    assert ended.code == 0, ended.log
    assert sorted(endpoint.numbers) == list(range(PROBLEMS))

    killed, chance = evaluation_of("1" * 16, bucket, s3, endpoint, problems), random.Random(6)
    command = [sys.executable, "-m", "deepcoder_evaluation.evaluator", *arguments(endpoint, sandbox)]
    for _ in range(KILLS):
        had = kept(store, killed)
        endpoint.asked.clear()
        with subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.DEVNULL,
            env=worker_environment(killed, tmp_path / "killed", environment),
        ) as life:  # fmt: skip
            wait_for_requests(endpoint, chance.randint(1, 4), life)
            time.sleep(chance.random() * 0.3)
            life.kill()
        assert not had & set(endpoint.numbers), "asked again though its answer was kept"
    had = kept(store, killed)
    assert 0 < len(had) < PROBLEMS, "the kills came too early, or too late, to show anything"

    endpoint.asked.clear()
    ended = run_worker(
        "deepcoder_evaluation.evaluator", killed, tmp_path / "killed", *arguments(endpoint, sandbox),
        environment=environment,
    )  # fmt: skip
    assert ended.code == 0, ended.log
    assert set(endpoint.numbers) == set(range(PROBLEMS)) - had
    report, rows = results(store, killed)
    assert (report, rows) == results(store, quiet)
    assert report["benchmarks"][0]["scores"][0]["pass_at_1"] == 0.5


def wait_for_requests(endpoint: Doubling, some: int, life: subprocess.Popen[bytes]) -> None:
    """Until so many have come, while the evaluator lives."""
    deadline = time.monotonic() + 60
    while len(endpoint.asked) < some:
        assert life.poll() is None, "the evaluator ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.01)
