"""The evaluator: asks each problem of each benchmark, grades, scores, and writes samples and report to S3.

Run as `python -m deepcoder_evaluation.evaluator`. Serves GET /v1/progress (EvaluationProgress) and /healthz meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import platform
import time
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deepcoder_api.artifacts import EvaluationPaths, EvaluationReport
from deepcoder_api.connections import keepalive_options
from deepcoder_api.evaluation import BenchmarkScore
from deepcoder_api.grading import IsolationReport
from deepcoder_api.lifecycle import EvaluationProgress, TerminationMessage
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_data.readers import read_problems
from deepcoder_data.store import ObjectStore, StoreError, open_store
from deepcoder_data.termination import run_process
from deepcoder_evaluation.answers import GradedAnswer, samples_table
from deepcoder_evaluation.chat import ChatEngine, EngineError
from deepcoder_evaluation.measurement import Measurement
from deepcoder_evaluation.model_digest import model_digest
from deepcoder_evaluation.scoring import score
from deepcoder_sandbox.client import GradeRefusedError, SandboxClient, SandboxError

log = structlog.get_logger("evaluator")

READY_SECONDS = 3600.0
ANSWER_SECONDS = 7200.0
WRITE_SECONDS = 900.0
WRITE_PAUSE_SECONDS = 5.0
CLOSE_SECONDS = 5.0
SOFTWARE = ("deepcoder-operator", "httpx", "pyarrow", "pydantic")


class NotIsolatedError(SandboxError):
    """The sandbox must be isolated and says that it is not: nothing is run there."""


class Count:
    """How far the evaluation is; the progress route reads it."""

    def __init__(self) -> None:
        self.progress = EvaluationProgress(answered=0, total=0, message="waiting for the engine")

    def start(self, total: int) -> None:
        """All problems are known."""
        self.progress = EvaluationProgress(answered=0, total=total, message="answering")

    def graded(self, answer: GradedAnswer) -> None:
        """One more answer is graded."""
        before = self.progress
        self.progress = before.model_copy(
            update={"answered": before.answered + 1, "passed": before.passed + int(answer.accepted)}
        )


def application(count: Count) -> Starlette:
    """The evaluator's routes."""

    async def progress(request: Request) -> Response:
        return Response(count.progress.model_dump_json(), media_type="application/json")

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/v1/progress", progress), Route("/healthz", health)])


@dataclass(frozen=True)
class Servers:
    """What answers and what grades: URLs, and how long each may take to be there."""

    engine: str
    sandbox: str
    ready_seconds: float = READY_SECONDS


async def evaluate(
    evaluation: ResolvedEvaluation, store: ObjectStore, servers: Servers, count: Count
) -> TerminationMessage:
    """The whole measurement. Raises EngineError, SandboxError, StoreError, or ValueError for a malformed benchmark."""
    started = time.monotonic()
    spec = evaluation.spec
    problems = {b.name: await asyncio.to_thread(read_benchmark, store, b.uri) for b in spec.benchmarks}
    digest = await asyncio.to_thread(model_digest, store, evaluation.model_uri)
    timeout = httpx.Timeout(30.0, read=ANSWER_SECONDS)
    # An engine that vanished is noticed by its silence, long before an answer's deadline.
    transport = httpx.AsyncHTTPTransport(
        limits=httpx.Limits(max_connections=1024), socket_options=keepalive_options(), trust_env=False
    )
    async with (
        httpx.AsyncClient(timeout=timeout, transport=transport, trust_env=False) as client,
        SandboxClient(servers.sandbox) as sandbox,
    ):
        engine = ChatEngine(servers.engine, evaluation.model_name, client, deadline_seconds=ANSWER_SECONDS)
        version = await engine.wait_ready(servers.ready_seconds)
        isolation = await isolated(sandbox, servers.ready_seconds)
        count.start(sum(map(len, problems.values())) * spec.sampling.samples_per_prompt)
        measurement = Measurement(spec, engine, sandbox, count.graded)
        answers = {b.name: await measurement.measure(b, problems[b.name]) for b in spec.benchmarks}
    report = EvaluationReport(
        model=evaluation.model_uri,
        model_digest=digest,
        engine=spec.engine.kind,
        engine_version=version,
        sampling=spec.sampling.model_dump(),
        grader_profile=spec.sandbox.profile,
        isolation=isolation.kernel if isolation.verified else "not verified",
        benchmarks=tuple(score(benchmark, answers[benchmark.name]) for benchmark in spec.benchmarks),
        seconds=time.monotonic() - started,
        software={name: metadata.version(name) for name in SOFTWARE} | {"python": platform.python_version()},
    )
    paths = EvaluationPaths(spec.storage.uri, evaluation.namespace, evaluation.name, evaluation.uid)
    await write_results(store, paths, [one for measured in answers.values() for one in measured], report)
    return TerminationMessage(outcome="done", reason="Completed", uri=paths.report, scores=_scores(report))


def _scores(report: EvaluationReport) -> tuple[BenchmarkScore, ...]:
    return tuple(
        BenchmarkScore.model_validate({"name": one.name, "problems": one.problems, "passAt1": one.pass_at_1})
        for one in report.benchmarks
    )


async def isolated(sandbox: SandboxClient, ready_seconds: float) -> IsolationReport:
    """The isolation report, before anything is run. Raises NotIsolatedError when it is required and not verified."""
    report = await sandbox.isolation(deadline_seconds=ready_seconds)
    if report.required and not report.verified:
        raise NotIsolatedError(f"the sandbox is not isolated: {'; '.join(report.failures)}")
    return report


def read_benchmark(store: ObjectStore, uri: str) -> list[Problem]:
    """All problems of a jsonl benchmark, in file order. Raises StoreError, or ValueError naming a malformed row.

    A measurement over part of a benchmark would be another number, so a row that cannot be read is an error here.
    """
    problems: list[Problem] = []
    for row in read_problems(store, uri, "jsonl"):
        if not isinstance(row, Problem):
            raise ValueError(f"{uri}: line {row.line}: {row.reason}")
        if not row.tests:
            raise ValueError(f"{uri}: problem {row.id!r} has no tests and cannot be scored")
        problems.append(row)
    if not problems:
        raise ValueError(f"{uri}: holds no problems")
    repeated = [id for id, count in Counter(problem.id for problem in problems).items() if count > 1]
    if repeated:
        raise ValueError(f"{uri}: problem {repeated[0]!r} is there twice; ids must be unique to be scored by problem")
    return problems


async def write_results(
    store: ObjectStore, paths: EvaluationPaths, answers: list[GradedAnswer], report: EvaluationReport,
    deadline_seconds: float = WRITE_SECONDS,
) -> None:  # fmt: skip
    """Samples, then the report. A store that is away is asked again: hours of answers lie here. Raises StoreError."""
    buffer = io.BytesIO()
    pq.write_table(samples_table(answers), buffer, compression="zstd")
    contents = {paths.samples: buffer.getvalue(), paths.report: report.model_dump_json(indent=2).encode()}
    deadline = time.monotonic() + deadline_seconds
    for uri, content in contents.items():
        while True:
            try:
                await asyncio.to_thread(store.put_bytes, uri, content)
                break
            except StoreError as error:
                if not error.retryable or time.monotonic() + WRITE_PAUSE_SECONDS > deadline:
                    raise
                log.warning("the store does not take the results; asking again", uri=uri, error=str(error))
            await asyncio.sleep(WRITE_PAUSE_SECONDS)


async def _serve_and_evaluate(
    evaluation: ResolvedEvaluation, servers: Servers, bind: str, port: int
) -> TerminationMessage:
    count = Count()
    server = uvicorn.Server(uvicorn.Config(application(count), host=bind, port=port, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    try:
        return await evaluate(evaluation, open_store(evaluation.spec.storage), servers, count)
    except (EngineError, SandboxError, StoreError, ValueError) as error:
        log.error("evaluation failed", error=repr(error))
        return failure(error)
    finally:
        server.should_exit = True
        await asyncio.wait([serving], timeout=CLOSE_SECONDS)


def failure(error: Exception) -> TerminationMessage:
    """How an evaluation that could not be finished ends: a fault of the files or of the request comes again."""
    permanent = isinstance(error, (ValueError, GradeRefusedError))
    retryable = getattr(error, "retryable", not permanent)
    return TerminationMessage(
        outcome="retryable" if retryable else "permanent", reason=type(error).__name__, cause=str(error)[:2048]
    )


def main() -> TerminationMessage:
    """Read the configuration, measure, and say how it ended."""
    parser = argparse.ArgumentParser(prog="python -m deepcoder_evaluation.evaluator", description=__doc__)
    parser.add_argument("--engine", required=True, help="URL of the engine")
    parser.add_argument("--sandbox", required=True, help="URL of the sandbox")
    parser.add_argument("--port", type=int, required=True, help="port of the progress route")
    parser.add_argument("--bind", default="0.0.0.0", help="address to listen on")
    arguments = parser.parse_args()
    evaluation = ResolvedEvaluation.model_validate_json(Path(os.environ["DEEPCODER_CONFIG"]).read_text())
    servers = Servers(arguments.engine, arguments.sandbox)
    return asyncio.run(_serve_and_evaluate(evaluation, servers, arguments.bind, arguments.port))


if __name__ == "__main__":
    run_process(main)
