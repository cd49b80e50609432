"""`deepcoder evaluate`: a model behind any OpenAI-compatible endpoint, scored here, without a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deepcoder_api.evaluation import CARD_MAX_TOKENS
from deepcoder_api.evaluation_benchmarks import Release, TestCoverage
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.grading import Limits, Profile
from deepcoder_cli.evaluation.options import RefusedOptionsError, benchmarks_of, job_faults
from deepcoder_cli.evaluation.view import scores_table
from deepcoder_cli.reporter import Reporter
from deepcoder_cli.run import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED, NOT_ISOLATED
from deepcoder_data.store import ObjectStore, StoreError
from deepcoder_evaluation.chat import EngineError
from deepcoder_evaluation.engines import KEY_VARIABLE, Engines, check_address
from deepcoder_evaluation.folders import LocalFolder
from deepcoder_evaluation.job import EvaluationJob, Sampling, neutral_sampling
from deepcoder_evaluation.progress import Count
from deepcoder_sandbox.client import SandboxError
from deepcoder_sandbox.local import LocalSandboxError, start_local_sandbox

LIMITS = Limits()
ADDRESS_SECONDS = 30.0
SANDBOX_SECONDS = 120.0
POLL_SECONDS = 0.3


def evaluate(
    url: Annotated[str, typer.Option(help=f"The endpoint, such as http://host:8000; its key is {KEY_VARIABLE}.")],
    model: Annotated[str, typer.Option(help="The model's name there.")],
    benchmark: Annotated[
        list[str],
        typer.Option(help="KIND=URI, once for each: livecodebench=hf://datasets/…, humaneval-plus=file:///…, jsonl=…"),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder for answers, samples and reports; the same goes on where it was.")
    ] = None,
    release: Annotated[Release | None, typer.Option(help="LiveCodeBench's release.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First day of contests, such as 2024-08-01.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day of contests; it counts.")] = None,
    ratings: Annotated[str | None, typer.Option(help="Codeforces: URI of all users' ratings.")] = None,
    standings: Annotated[str | None, typer.Option(help="Codeforces: URI of standings and old ratings.")] = None,
    tests: Annotated[TestCoverage | None, typer.Option(help="Codeforces: what the tests are.")] = None,
    max_submissions: Annotated[int | None, typer.Option(help="Codeforces: answers that count.", min=1)] = None,
    samples: Annotated[int, typer.Option(help="Answers to each problem.", min=1, max=1024)] = 1,
    repeats: Annotated[int, typer.Option(help="Times that all is answered, for the spread.", min=1, max=64)] = 1,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.", min=0, max=2)] = 0.6,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling.", min=0.0001, max=1)] = 0.95,
    max_tokens: Annotated[int | None, typer.Option(help="Response limit; the longest length, or 64000.", min=1)] = None,
    context_length: Annotated[
        list[int] | None, typer.Option(help="Also score at this response limit, by cutting; may be repeated.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Every answer's seed is hashed from it.", min=0, max=2**31 - 1)] = 0,
    system_prompt: Annotated[str | None, typer.Option(help="A system message; the card has none.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="URI of the model's tokenizer, to cut answers by.")] = None,
    engine: Annotated[
        Literal["openai", "vllm"], typer.Option(help="vllm: the endpoint tells token ids, so that cuts are exact.")
    ] = "openai",
    in_flight: Annotated[int, typer.Option(help="Answers asked for at once.", min=1, max=65536)] = 64,
    answer_seconds: Annotated[float, typer.Option(help="Longest wait for one answer with all retries.", min=1)] = 7200,
    profile: Annotated[Profile, typer.Option(help="Which grader's rules.")] = "strict",
    timeout: Annotated[
        float, typer.Option(help="Seconds for one test that has no limit of its own.", min=0.1, max=300)
    ] = LIMITS.timeout_seconds,
    memory: Annotated[int, typer.Option(help="MiB for one program.", min=32, max=65536)] = LIMITS.memory_mib,
    sandbox: Annotated[
        str | None, typer.Option(help="A grading server that is there, in place of a local one.")
    ] = None,
    s3_endpoint: Annotated[str | None, typer.Option(help="URL of the S3 server of s3:// benchmarks.")] = None,
    region: Annotated[str, typer.Option(help="Region that S3 requests are signed for.")] = "us-east-1",
) -> None:
    """Ask, grade and score; report.json, report.html, scores.md and samples.parquet go to the output folder.

    Exit code 0 when all was scored, 1 when something failed (the same command goes on), 2 when it is refused.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    reporter = Reporter(Console(highlight=False, soft_wrap=True))
    window = {"from": first, "to": last}
    settings = {
        "release": release,
        "window": {name: day for name, day in window.items() if day} or None,
        "ratingsUri": ratings,
        "standingsUri": standings,
        "tests": tests,
        "maxSubmissions": max_submissions,
    }
    lengths = context_length or []
    limit = max_tokens or max(lengths, default=CARD_MAX_TOKENS)
    try:
        job = EvaluationJob(
            namespace="local",
            name=re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") or "model",
            model=url,
            model_name=model,
            tokenizer=tokenizer,
            engine=engine,
            engine_arguments=(),
            exact_ids=engine == "vllm",
            sampling=Sampling(temperature, top_p, limit, samples, seed, system_prompt, neutral_sampling(engine)),
            lengths=tuple(sorted({*lengths, limit})),
            benchmarks=benchmarks_of(benchmark, settings, repeats),
            profile=profile,
            limits=Limits(timeout_seconds=timeout, memory_mib=memory),
            in_flight=in_flight,
        )
        if faults := job_faults(job, url):
            raise RefusedOptionsError(faults)
    except RefusedOptionsError as refused:
        for fault in refused.faults:
            reporter.refuse(fault)
        raise typer.Exit(EXIT_REFUSED) from refused
    folder = output or Path("build/evaluations") / job.name
    engines = Engines(
        url,
        foreign=True,
        key=os.environ.get(KEY_VARIABLE),
        ready_seconds=SANDBOX_SECONDS,
        answer_seconds=answer_seconds,
    )
    store = ObjectStore(s3_endpoint, region)
    try:
        report = _measured(job, engines, store, folder, sandbox, reporter)
    except (EngineError, SandboxError, StoreError, ValueError, LocalSandboxError) as error:
        reporter.refuse(str(error))
        raise typer.Exit(EXIT_FAILED) from error
    except KeyboardInterrupt as interrupt:
        reporter.refuse("interrupted: the same command goes on with what was not answered")
        raise typer.Exit(EXIT_INTERRUPTED) from interrupt
    Console(highlight=False).print(scores_table(report))
    for warning in report.warnings:
        reporter.refuse(f"note: {warning}")
    reporter.say(job.name, f"{folder}/report.html, report.json, scores.md, samples.parquet")


def _measured(
    job: EvaluationJob, engines: Engines, store: ObjectStore, folder: Path, sandbox: str | None, reporter: Reporter
) -> EvaluationReport:
    """The report; the address is looked at before a sandbox is started or a benchmark is read."""
    version = asyncio.run(check_address(engines, job, ADDRESS_SECONDS))
    reporter.say(job.name, f"{engines.url} serves {job.model_name} (version {version})")
    with ExitStack() as stack:
        if sandbox is None:
            local = stack.enter_context(start_local_sandbox())
            sandbox = local.url
            if not local.isolated:
                reporter.warn(NOT_ISOLATED)
        return asyncio.run(_followed(job, engines, store, folder, sandbox))


async def _followed(
    job: EvaluationJob, engines: Engines, store: ObjectStore, folder: Path, sandbox: str
) -> EvaluationReport:
    from deepcoder_evaluation.evaluator import evaluate as measure  # brings pyarrow, which is slow to import

    count = Count()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(job.name, total=None)
        measuring = asyncio.create_task(measure(job, store, LocalFolder(folder), engines, sandbox, count))
        while not measuring.done():
            now = count.progress
            progress.update(bar, completed=now.answered, total=now.total or None, description=now.message)
            await asyncio.wait([measuring], timeout=POLL_SECONDS)
    return await measuring
