"""A whole evaluation, with stand-ins for engine, sandbox and store behind the evaluator's own clients.

tests/e2e and `deepcoder run` hold the real ones to the same contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deepcoder_api.artifacts import EvaluationPaths, EvaluationReport
from deepcoder_api.grading import GradeResult, IsolationReport, TestResult, Verdict
from deepcoder_api.lifecycle import EvaluationProgress
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_data.store import AccessDeniedError, ObjectStore, StoreError, StoreUnavailableError
from deepcoder_evaluation import evaluator
from deepcoder_evaluation.chat import EngineError
from deepcoder_evaluation.evaluator import (
    Count,
    NotIsolatedError,
    Servers,
    application,
    evaluate,
    failure,
    read_benchmark,
    write_results,
)
from deepcoder_sandbox.client import GradeRefusedError, GradeUnavailableError
from tests.unit.evaluation.evaluation_builders import evaluation_spec, graded, problem

VERIFIED = IsolationReport(verified=True, required=True, kernel="Linux 4.4.0 (gVisor)")
OPEN = IsolationReport(verified=False, required=False, kernel="Linux 6.1")
PATHS = EvaluationPaths("s3://bucket/prefix", "default", "before", "0123456789")


class MemoryStore(ObjectStore):
    """Keeps what is put; the first puts fail as `failures` say."""

    def __init__(self, *failures: StoreError) -> None:
        self.content: dict[str, bytes] = {}
        self._failures = list(failures)

    def put_bytes(self, uri: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        if self._failures:
            raise self._failures.pop(0)
        self.content[uri] = content
        return "etag"


@dataclass
class World:
    """Engine and sandbox on one server: half of the programs are right; the engine serves after `loading` asks."""

    isolation: IsolationReport = VERIFIED
    loading: int = 1
    asked: list[dict[str, Any]] = field(default_factory=list)
    graded: list[dict[str, Any]] = field(default_factory=list)

    async def models(self, request: Request) -> Response:
        self.loading -= 1
        return JSONResponse({"data": [{"id": "policy"}]}) if self.loading < 0 else Response(status_code=503)

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": "0.32.0"})

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        number = int(body["messages"][0]["content"].strip("Solve p."))
        message = {"role": "assistant", "content": f"```python\nprint({number % 2})\n```"}
        usage = {"prompt_tokens": 3, "completion_tokens": 5}
        return JSONResponse({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    async def isolated(self, request: Request) -> Response:
        return Response(self.isolation.model_dump_json())

    async def grade(self, request: Request) -> Response:
        body = await request.json()
        self.graded.append(body)
        verdict = Verdict.ACCEPTED if "print(1)" in body["program"] else Verdict.WRONG_ANSWER
        result = GradeResult(id=body["id"], verdict=verdict, tests=(TestResult(verdict=verdict),), tests_total=1)
        return Response(result.model_dump_json())

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Servers]:
        routes = [
            Route("/v1/models", self.models),
            Route("/version", self.version),
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/v1/isolation", self.isolated),
            Route("/v1/grade", self.grade, methods=["POST"]),
        ]
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield Servers(engine=url, sandbox=url, ready_seconds=20)
        finally:
            server.should_exit = True
            await task


def resolved(folder: Path, problems: int, **parts: Any) -> ResolvedEvaluation:
    """An evaluation of a file of problems p0, p1, ... in `folder`."""
    file = folder / "held-out.jsonl"
    file.write_text("".join(problem(f"p{number}").model_dump_json() + "\n" for number in range(problems)))
    benchmark = {"name": "held-out", "kind": "jsonl", "uri": f"file://{file}"}
    return ResolvedEvaluation(
        namespace="default",
        name="before",
        uid="0123456789",
        spec=evaluation_spec(benchmarks=[benchmark], **parts),
        model_uri="file:///model",
        model_name="policy",
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluator, "WRITE_PAUSE_SECONDS", 0.01)


async def test_128_problems_from_an_engine_that_loads_to_a_report(tmp_path: Path) -> None:
    """Samples and report lie in the store, the score is on the message, and the end follows the last answer at once."""
    world, store, count = World(), MemoryStore(), Count()
    async with world.serving() as servers:
        started = time.monotonic()
        message = await evaluate(resolved(tmp_path, 128), store, servers, count)
        seconds = time.monotonic() - started
    report = EvaluationReport.model_validate_json(store.content[PATHS.report])
    assert (message.outcome, message.uri) == ("done", PATHS.report)
    assert message.scores is not None
    assert [(one.name, one.problems, one.pass_at_1) for one in message.scores] == [("held-out", 128, 0.5)]
    (benchmark,) = report.benchmarks
    assert (benchmark.pass_at_1, benchmark.verdicts) == (0.5, {"accepted": 64, "wrong_answer": 64})
    assert (report.engine_version, report.isolation) == ("0.32.0", "Linux 4.4.0 (gVisor)")
    assert report.grader_profile == "strict"
    assert report.sampling == {
        "temperature": 0, "top_p": 0.95, "max_tokens": 64, "samples_per_prompt": 1, "seed": 0,
    }  # fmt: skip
    rows = pq.read_table(io.BytesIO(store.content[PATHS.samples])).to_pylist()
    assert len(rows) == len(world.asked) == 128
    assert count.progress == EvaluationProgress(answered=128, total=128, passed=64, message="answering")
    assert seconds < 20


async def test_a_sandbox_that_must_be_isolated_and_is_not_gets_no_program(tmp_path: Path) -> None:
    """The evaluation fails closed, before the engine is asked anything."""
    world = World(IsolationReport(verified=False, required=True, failures=("the kernel is not gVisor's",)), loading=0)
    async with world.serving() as servers:
        with pytest.raises(NotIsolatedError, match="the kernel is not gVisor's"):
            await evaluate(resolved(tmp_path, 2), MemoryStore(), servers, Count())
    assert world.asked == []


async def test_a_local_sandbox_without_isolation_is_named_in_the_report(tmp_path: Path) -> None:
    """Where isolation is not required the report says that there was none."""
    store = MemoryStore()
    async with World(OPEN, loading=0).serving() as servers:
        await evaluate(resolved(tmp_path, 1), store, servers, Count())
    assert json.loads(store.content[PATHS.report])["isolation"] == "not verified"


async def test_the_profile_of_the_specification_grades_and_is_named_in_the_report(tmp_path: Path) -> None:
    """A number can only be compared with one of the same rules."""
    world, store = World(loading=0), MemoryStore()
    async with world.serving() as servers:
        await evaluate(resolved(tmp_path, 1, sandbox={"profile": "lcb-v5"}), store, servers, Count())
    assert json.loads(store.content[PATHS.report])["grader_profile"] == "lcb-v5"
    assert [request["profile"] for request in world.graded] == ["lcb-v5"]


async def test_results_outlive_a_store_that_is_away_for_a_while() -> None:
    """Hours of answers are not lost to a restart of the store; samples come before the report."""
    store = MemoryStore(StoreUnavailableError("away"), StoreUnavailableError("away"))
    await write_results(store, PATHS, [graded()], report())
    assert list(store.content) == [PATHS.samples, PATHS.report]


@pytest.mark.parametrize("error", [AccessDeniedError("wrong key"), StoreUnavailableError("away")])
async def test_what_the_store_does_not_take_in_the_end_is_an_error(error: StoreError) -> None:
    """A refusal at once, an absence after the deadline."""
    store = MemoryStore(*[error] * 3)
    with pytest.raises(type(error)):
        await write_results(store, PATHS, [graded()], report(), deadline_seconds=0.0)
    assert store.content == {}


def report() -> EvaluationReport:
    return EvaluationReport(
        model="file:///model", model_digest=None, engine="vllm", engine_version="1", sampling={},
        grader_profile="strict", isolation="gVisor", benchmarks=(), seconds=1.0, software={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EngineError("refused", retryable=False), "permanent"),
        (EngineError("away", retryable=True), "retryable"),
        (GradeUnavailableError("no grade"), "retryable"),
        (GradeRefusedError("malformed"), "permanent"),
        (NotIsolatedError("open"), "retryable"),
        (AccessDeniedError("wrong key"), "permanent"),
        (StoreUnavailableError("away"), "retryable"),
        (ValueError("line 3: no tests"), "permanent"),
    ],
)
def test_how_each_failure_ends(error: Exception, outcome: str) -> None:
    """What the files or the request bring about comes again; what a server did not do may go better."""
    message = failure(error)
    assert (message.outcome, message.reason, message.cause) == (outcome, type(error).__name__, str(error))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no problems"),
        (["{}"], "line 1: id"),
        (["", "not json"], "line 2"),
        ([problem("a", tests=[]).model_dump_json()], "problem 'a' has no tests"),
        ([problem("a").model_dump_json()] * 2, "problem 'a' is there twice"),
    ],
)
def test_a_benchmark_that_cannot_be_scored_whole_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    """A score over part of it would be another number: the line, the problem and the file are named."""
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=rf"b\.jsonl: .*{said}"):
        read_benchmark(MemoryStore(), f"file://{tmp_path}/b.jsonl")


def test_a_benchmark_may_be_compressed(tmp_path: Path) -> None:
    """In the order of the file."""
    (tmp_path / "b.jsonl.gz").write_bytes(
        gzip.compress("\n".join(problem(id).model_dump_json() for id in "ba").encode())
    )
    found = read_benchmark(MemoryStore(), f"file://{tmp_path}/b.jsonl.gz")
    assert [one.id for one in found] == ["b", "a"]


async def test_progress_is_served_from_the_start() -> None:
    """Before the problems are known, and after each graded answer."""
    count = Count()
    transport = httpx.ASGITransport(application(count))
    async with httpx.AsyncClient(transport=transport, base_url="http://evaluator") as http:
        assert (await http.get("/v1/progress")).json() == {
            "answered": 0, "total": 0, "passed": 0, "message": "waiting for the engine",
        }  # fmt: skip
        count.start(3)
        count.graded(graded())
        count.graded(graded(verdict=Verdict.WRONG_ANSWER))
        assert (await http.get("/v1/progress")).json() == {
            "answered": 2, "total": 3, "passed": 1, "message": "answering",
        }  # fmt: skip
        assert (await http.get("/healthz")).status_code == 200
