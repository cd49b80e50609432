"""The evaluator: asks each problem of each benchmark, grades, scores, and writes samples and reports to S3.

Run as `python -m deepcoder_evaluation.evaluator`. Serves GET /v1/progress (EvaluationProgress), /metrics and /healthz
meanwhile. Every answer and grade is in S3 as it comes: an evaluator that is killed goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
import uvicorn

from deepcoder_api.artifacts import EvaluationPaths
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.grading import IsolationReport
from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_data.models import model_digest
from deepcoder_data.store import ObjectStore, StoreError, open_store
from deepcoder_data.termination import run_process
from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.benchmarks.loading import load_benchmark
from deepcoder_evaluation.chat import EngineError
from deepcoder_evaluation.cutting import Cutter
from deepcoder_evaluation.engines import KEY_VARIABLE, Engines
from deepcoder_evaluation.finished import REPORT, earlier_report
from deepcoder_evaluation.folders import ResultFolder, StoredFolder
from deepcoder_evaluation.grading import Grader
from deepcoder_evaluation.holding import hold_of, release, renewed
from deepcoder_evaluation.job import EvaluationJob, job_of
from deepcoder_evaluation.markdown import markdown_table
from deepcoder_evaluation.measurement import Measurement, answer_count
from deepcoder_evaluation.progress import Count, application
from deepcoder_evaluation.records import Records, until_kept
from deepcoder_evaluation.report_page import PageAnswers, report_page
from deepcoder_evaluation.reports import Circumstances, evaluation_report, is_of, measured_model, status_scores
from deepcoder_evaluation.samples import write_samples
from deepcoder_evaluation.tokenizers_of_models import tokenizer_of
from deepcoder_sandbox.client import GradeRefusedError, SandboxClient, SandboxError

log = structlog.get_logger("evaluator")

CLOSE_SECONDS = 5.0
PAGE, TABLE, SAMPLES = "report.html", "scores.md", "samples.parquet"


class NotIsolatedError(SandboxError):
    """The sandbox must be isolated and says that it is not: nothing is run there."""


async def evaluate(
    job: EvaluationJob, store: ObjectStore, folder: ResultFolder, servers: Engines, sandbox_url: str, count: Count
) -> EvaluationReport:
    """The whole measurement; what is in `folder` already is not done again. `store` is where problems are read.

    Raises EngineError, SandboxError, StoreError, or ValueError for a malformed benchmark.
    """
    started = time.monotonic()
    benchmarks = [await asyncio.to_thread(load_benchmark, store, one) for one in job.benchmarks]
    digest = None if servers.foreign else await asyncio.to_thread(model_digest, store, job.model)
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="deepcoder-evaluation-")))
        tokenizer = await asyncio.to_thread(tokenizer_of, store, job, work / "tokenizer")
        model = measured_model(job, digest, tokenizer)
        earlier = await asyncio.to_thread(earlier_report, folder)
        if earlier is not None and is_of(earlier, job, benchmarks, model):
            log.info("the report is there; nothing is done again", uri=f"{folder.uri}/{REPORT}")
            count.scored(earlier)
            return earlier
        cutter = await asyncio.to_thread(Cutter, tokenizer.folder if tokenizer and len(job.lengths) > 1 else None)
        sandbox = await stack.enter_async_context(SandboxClient(sandbox_url))
        isolation = await isolated(sandbox, servers.ready_seconds)
        records = Records(folder)
        stack.callback(records.close)
        kept = await records.open()
        if kept:
            log.info("going on where an earlier evaluator was", answers=kept)
        engine = await stack.enter_async_context(servers.open(job, folder))
        count.start(sum(answer_count(job, one) for one in benchmarks))
        grader = Grader(sandbox, cutter, job.profile, job.limits, job.lengths)
        measurement = Measurement(job, digest or job.model, engine.ready, grader, records, count.graded)
        outcomes = await measurement.measure(benchmarks)
        around = Circumstances(
            digest, tokenizer, await engine.version(), isolation.kernel if isolation.verified else "not verified"
        )
        report = evaluation_report(job, benchmarks, outcomes, around, time.monotonic() - started)
        for warning in report.warnings:
            log.warning(warning)
        await write_results(folder, measurement, benchmarks, report, work)
    count.scored(report)
    return report


async def isolated(sandbox: SandboxClient, ready_seconds: float) -> IsolationReport:
    """The isolation report, before anything is run. Raises NotIsolatedError when it is required and not verified."""
    report = await sandbox.isolation(deadline_seconds=ready_seconds)
    if report.required and not report.verified:
        raise NotIsolatedError(f"the sandbox is not isolated: {'; '.join(report.failures)}")
    return report


async def write_results(
    folder: ResultFolder,
    measurement: Measurement,
    benchmarks: Sequence[LoadedBenchmark],
    report: EvaluationReport,
    work: Path,
) -> None:
    """Samples, the page, the table, and last the report: what has a report is whole. Raises StoreError."""
    answers = PageAnswers(sum(one.samples for one in report.benchmarks))
    samples = work / SAMPLES
    await write_samples(measurement, benchmarks, samples, lambda judged: answers.add(*judged))
    page = report_page(report, answers.found).encode("utf-8", "replace")
    content = report.model_dump_json(indent=2).encode()
    await until_kept(lambda: asyncio.to_thread(folder.put_file, SAMPLES, samples), SAMPLES)
    await until_kept(lambda: asyncio.to_thread(folder.put, PAGE, page), PAGE)
    await until_kept(lambda: asyncio.to_thread(folder.put, TABLE, markdown_table(report).encode()), TABLE)
    await until_kept(lambda: asyncio.to_thread(folder.put, REPORT, content), REPORT)


async def serve_and_evaluate(
    evaluation: ResolvedEvaluation, engine: str, sandbox: str, bind: str, port: int
) -> TerminationMessage:
    """The evaluation of a resource, with its progress served at `port`, as the message that it ends with.

    A checkpoint that it measures is held meanwhile; one that may be measured again by a next try stays so.
    """
    count = Count()
    server = uvicorn.Server(uvicorn.Config(application(count), host=bind, port=port, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    try:
        store = open_store(evaluation.spec.storage)
        hold = hold_of(evaluation, store)
        async with renewed(hold):
            message = await _evaluate(evaluation, store, engine, sandbox, count)
        if message.outcome != "retryable":
            await asyncio.to_thread(release, hold)
        return message
    finally:
        server.should_exit = True
        await asyncio.wait([serving], timeout=CLOSE_SECONDS)


async def _evaluate(
    evaluation: ResolvedEvaluation, store: ObjectStore, engine: str, sandbox: str, count: Count
) -> TerminationMessage:
    try:
        paths = EvaluationPaths(evaluation.spec.storage.uri, evaluation.namespace, evaluation.name, evaluation.uid)
        folder = StoredFolder(store, paths.root)
        engines = Engines(engine, foreign=evaluation.spec.model.endpoint is not None, key=os.environ.get(KEY_VARIABLE))
        report = await evaluate(job_of(evaluation), store, folder, engines, sandbox, count)
        return TerminationMessage(outcome="done", reason="Completed", uri=paths.report, scores=status_scores(report))
    except (EngineError, SandboxError, StoreError, ValueError) as error:
        log.error("evaluation failed", error=repr(error))
        return failure(error)


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
    return asyncio.run(
        serve_and_evaluate(evaluation, arguments.engine, arguments.sandbox, arguments.bind, arguments.port)
    )


if __name__ == "__main__":
    run_process(main)
