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
from importlib import metadata
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import structlog
import uvicorn
from deepcoder_data.readers import read_problems
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deepcoder_api.artifacts import BenchmarkReport, EvaluationPaths, EvaluationReport
from deepcoder_api.evaluation import BenchmarkScore
from deepcoder_api.lifecycle import EvaluationProgress, TerminationMessage
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_data.store import ObjectStore, StoreError, open_store
from deepcoder_data.termination import run_process
from deepcoder_evaluation.answers import GradedAnswer, samples_table
from deepcoder_evaluation.chat import ChatEngine, EngineError
from deepcoder_evaluation.measurement import Measurement
from deepcoder_evaluation.model_digest import model_digest
from deepcoder_evaluation.scoring import score
from deepcoder_sandbox.client import GradeUnavailableError, SandboxClient

log = structlog.get_logger("evaluator")

ENGINE_DEADLINE_SECONDS = 3600.0
ANSWER_DEADLINE_SECONDS = 7200.0
SOFTWARE = ("deepcoder-operator", "httpx", "pyarrow", "pydantic")


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


async def evaluate(
    evaluation: ResolvedEvaluation, store: ObjectStore, engine_url: str, sandbox_url: str, count: Count
) -> TerminationMessage:
    """The whole measurement. Raises EngineError, GradeUnavailableError or StoreError."""
    started = time.monotonic()
    spec = evaluation.spec
    problems: dict[str, list[Problem]] = {}
    for benchmark in spec.benchmarks:
        problems[benchmark.name] = await asyncio.to_thread(read_benchmark, store, benchmark.uri)
    count.start(sum(map(len, problems.values())) * spec.sampling.samples_per_prompt)
    timeout = httpx.Timeout(30.0, read=ANSWER_DEADLINE_SECONDS)
    async with httpx.AsyncClient(timeout=timeout, limits=httpx.Limits(max_connections=1024)) as client:
        engine = ChatEngine(engine_url, evaluation.model_name, client, deadline_seconds=ANSWER_DEADLINE_SECONDS)
        version = await engine.wait_ready(ENGINE_DEADLINE_SECONDS)
        async with SandboxClient([sandbox_url]) as sandbox:
            measurement = Measurement(spec, engine, sandbox, count.graded)
            answers: list[GradedAnswer] = []
            reports: list[BenchmarkReport] = []
            for benchmark in spec.benchmarks:
                measured = await measurement.measure(benchmark, problems[benchmark.name])
                answers += measured
                reports.append(score(benchmark, measured))
                log.info("scored", benchmark=benchmark.name, pass_at_1=reports[-1].pass_at_1, problems=len(measured))
            isolation = await sandbox.isolation()
    report = EvaluationReport(
        model=evaluation.model_uri,
        model_digest=await asyncio.to_thread(model_digest, store, evaluation.model_uri),
        engine=spec.engine.kind,
        engine_version=version,
        sampling={
            "temperature": spec.sampling.temperature,
            "top_p": spec.sampling.top_p,
            "max_tokens": spec.sampling.max_tokens,
            "samples_per_prompt": spec.sampling.samples_per_prompt,
            "seed": spec.sampling.seed,
        },
        grader_profile="strict",
        isolation=isolation.kernel if isolation.verified else "not verified",
        benchmarks=tuple(reports),
        seconds=time.monotonic() - started,
        software={name: metadata.version(name) for name in SOFTWARE} | {"python": platform.python_version()},
    )
    paths = EvaluationPaths(spec.storage.uri, evaluation.namespace, evaluation.name, evaluation.uid)
    await asyncio.to_thread(_write, store, paths, answers, report)
    scores = tuple(BenchmarkScore(name=r.name, problems=r.problems, pass_at_1=r.pass_at_1) for r in reports)
    return TerminationMessage(outcome="done", uri=paths.report, scores=scores)


def read_benchmark(store: ObjectStore, uri: str) -> list[Problem]:
    """All problems of a jsonl benchmark, in file order. Raises EngineError-free ValueError naming a malformed row.

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
    return problems


def _write(store: ObjectStore, paths: EvaluationPaths, answers: list[GradedAnswer], report: EvaluationReport) -> None:
    buffer = io.BytesIO()
    pq.write_table(samples_table(answers), buffer, compression="zstd")
    store.put_bytes(paths.samples, buffer.getvalue())
    store.put_bytes(paths.report, report.model_dump_json(indent=2).encode())


async def _serve_and_evaluate(arguments: argparse.Namespace, evaluation: ResolvedEvaluation) -> TerminationMessage:
    count = Count()
    server = uvicorn.Server(
        uvicorn.Config(application(count), host="0.0.0.0", port=arguments.port, log_level="warning")
    )
    serving = asyncio.create_task(server.serve())
    try:
        store = open_store(evaluation.spec.storage)
        return await evaluate(evaluation, store, arguments.engine, arguments.sandbox, count)
    except* (EngineError, GradeUnavailableError, StoreError, ValueError) as group:
        return _failure(group.exceptions[0])
    finally:
        server.should_exit = True
        await asyncio.wait([serving], timeout=10)


def _failure(error: BaseException) -> TerminationMessage:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    retryable = getattr(error, "retryable", not isinstance(error, ValueError))
    return TerminationMessage(
        outcome="retryable" if retryable else "permanent", reason=type(error).__name__, cause=str(error)[:2048]
    )


def main() -> TerminationMessage:
    """Read the configuration, measure, and say how it ended."""
    parser = argparse.ArgumentParser(prog="python -m deepcoder_evaluation.evaluator", description=__doc__)
    parser.add_argument("--engine", required=True, help="URL of the engine")
    parser.add_argument("--sandbox", required=True, help="URL of the sandbox")
    parser.add_argument("--port", type=int, required=True, help="port of the progress route")
    arguments = parser.parse_args()
    evaluation = ResolvedEvaluation.model_validate_json(Path(os.environ["DEEPCODER_CONFIG"]).read_text())
    return asyncio.run(_serve_and_evaluate(arguments, evaluation))


if __name__ == "__main__":
    run_process(main)
