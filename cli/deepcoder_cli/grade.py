"""`deepcoder grade`: answers against the tests of their problems, in gVisor, without a cluster."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from deepcoder_api.grading import Limits, Profile
from deepcoder_cli.grading.inputs import Inputs, RefusedInputError, read_inputs
from deepcoder_cli.grading.report import AnswerReport, Conditions, GradingReport, summarize
from deepcoder_cli.grading.session import Rules, grade_answers, longest_wait
from deepcoder_cli.grading.view import GradingProgress, summary
from deepcoder_cli.reporter import Reporter
from deepcoder_cli.run import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED, NOT_ISOLATED
from deepcoder_data.readers import Format
from deepcoder_sandbox.client import SandboxClient, SandboxError
from deepcoder_sandbox.grading_pool import default_workers
from deepcoder_sandbox.local import LocalSandbox, LocalSandboxError, start_local_sandbox

LIMITS = Limits()
IN_FLIGHT_AT_URL = 64
MOST_FAULTS = 20
REMOTE_NOT_ISOLATED = "that server has not shown its isolation: programs may run natively where it runs"


def grade(
    problems: Annotated[Path, typer.Option(help="Problems: JSON lines, as they are or gzipped.", metavar="FILE")],
    answers: Annotated[
        Path,
        typer.Option(
            help='Lines of {"problem": id, "answer": text} or {"problem": id, "program": code}.', metavar="FILE"
        ),
    ],
    format: Annotated[Format, typer.Option(help="Whose rows the problems are; jsonl: the project's own.")] = "jsonl",
    output: Annotated[Path | None, typer.Option(help="Write every answer's grade as JSON.", metavar="FILE")] = None,
    profile: Annotated[Profile, typer.Option(help="Which grader's rules.")] = "strict",
    timeout: Annotated[
        float, typer.Option(help="Seconds for one test that has no limit of its own.", min=0.1, max=300)
    ] = LIMITS.timeout_seconds,
    memory: Annotated[int, typer.Option(help="MiB for one program.", min=32, max=65536)] = LIMITS.memory_mib,
    all_tests: Annotated[bool, typer.Option("--all-tests", help="Run the tests after a failed one too.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Programs at once on the local server; one a core.", min=1, max=1024)
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="A server that is there, in place of a local one: http://…, dns+http://…, unix://…"),
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(help="Longest wait for one grade, in seconds; by the tests' limits.", min=1)
    ] = None,
) -> None:
    """Grade answers against the tests of their problems, in a local gVisor sandbox unless --url names a server.

    Exit code 0 when all were graded, whatever their verdicts; 1 when some could not be; 2 when the input is refused.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console(highlight=False)
    reporter = Reporter(Console(highlight=False, soft_wrap=True))
    inputs = _accepted(problems, format, answers, output, url, workers, reporter)
    limits = Limits(timeout_seconds=timeout, memory_mib=memory)
    rules = Rules(
        limits=limits,
        profile=profile,
        stop_on_first_failure=not all_tests,
        in_flight=IN_FLIGHT_AT_URL if url else 2 * (workers or default_workers()) + 2,
        deadline_seconds=deadline or longest_wait(inputs, limits),
    )
    try:
        with _server(url, workers, console) as (address, sandbox):
            report = asyncio.run(_graded(address, sandbox, inputs, rules, reporter, console))
    except (LocalSandboxError, SandboxError) as error:
        reporter.refuse(str(error))
        raise typer.Exit(EXIT_FAILED) from error
    except KeyboardInterrupt as interrupt:
        reporter.refuse("interrupted: nothing was written")
        raise typer.Exit(EXIT_INTERRUPTED) from interrupt
    _tell(report, output, console)
    raise typer.Exit(EXIT_FAILED if report.not_graded else 0)


def _accepted(
    problems: Path, format: Format, answers: Path, output: Path | None, url: str | None, workers: int | None,
    reporter: Reporter,
) -> Inputs:  # fmt: skip
    """What is to be graded. Says what is wrong and exits when anything is."""
    faults = _wrong_options(output, url, workers)
    inputs = None
    try:
        inputs = read_inputs(problems, format, answers)
    except RefusedInputError as refused:
        faults += refused.faults
    for fault in faults[:MOST_FAULTS]:
        reporter.refuse(fault)
    if len(faults) > MOST_FAULTS:
        reporter.refuse(f"and {len(faults) - MOST_FAULTS} more")
    if faults or inputs is None:
        raise typer.Exit(EXIT_REFUSED)
    return inputs


def _wrong_options(output: Path | None, url: str | None, workers: int | None) -> list[str]:
    faults: list[str] = []
    if output and (output.is_dir() or not output.parent.is_dir()):
        faults.append(f'--output: "{output}": must be a file in a folder that is there')
    if url and workers:
        faults.append(f"--workers: {workers}: is for the local server; with --url the server has its own")
    if url:
        try:
            SandboxClient(url)
        except ValueError as error:
            faults.append(f"--url: {error}")
    return faults


@contextmanager
def _server(url: str | None, workers: int | None, console: Console) -> Iterator[tuple[str, LocalSandbox | None]]:
    """The address of the server, and the server itself where it is ours."""
    if url:
        yield url, None
        return
    with console.status("starting the sandbox"):
        sandbox = start_local_sandbox(workers=workers)
    with sandbox:
        yield sandbox.url, sandbox


async def _graded(
    url: str, sandbox: LocalSandbox | None, inputs: Inputs, rules: Rules, reporter: Reporter, console: Console
) -> GradingReport:
    async with SandboxClient(url, max_in_flight=rules.in_flight) as client:
        isolated = (await client.isolation()).verified
        if isolated:
            reporter.say("sandbox", "gVisor, isolation verified from inside")
        else:
            reporter.warn(NOT_ISOLATED if sandbox else REMOTE_NOT_ISOLATED)
        begun = time.monotonic()
        with GradingProgress(console, len(inputs.answers)) as progress:
            results: list[AnswerReport] = await grade_answers(client, inputs, rules, progress.add, sandbox)
    conditions = Conditions(
        profile=rules.profile,
        limits=rules.limits,
        stop_on_first_failure=rules.stop_on_first_failure,
        isolated=isolated,
    )
    return summarize(results, problems=inputs.problems, seconds=time.monotonic() - begun, conditions=conditions)


def _tell(report: GradingReport, output: Path | None, console: Console) -> None:
    console.print(summary(report))
    rate = report.answers / report.seconds if report.seconds else 0.0
    console.print(f"graded in {report.seconds:.1f} s, {rate:.1f} answers a second", style="dim")
    if output:
        output.write_text(report.model_dump_json(indent=2) + "\n")
        console.print(f"every answer: {output}", soft_wrap=True)
    elif any(not one.accepted for one in report.results):
        console.print("--output FILE keeps every answer's tests, seconds, memory and stderr", style="dim")
