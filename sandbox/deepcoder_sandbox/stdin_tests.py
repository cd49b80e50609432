"""A stdin test: one real process with real pipes as its standard streams, its output compared here."""

from __future__ import annotations

from deepcoder_api.grading import Limits, TestResult, Verdict
from deepcoder_api.problems import StdinTest
from deepcoder_sandbox.comparison import stdout_difference, stdout_matches
from deepcoder_sandbox.launcher import Launcher
from deepcoder_sandbox.program_run import Finished, ProgramRun, pump
from deepcoder_sandbox.verdicts import failure, result


def run_stdin_test(launcher: Launcher, program: str, test: StdinTest, limits: Limits) -> TestResult:
    """The verdict on `program` given `test.input`. Raises LauncherFailedError."""
    run = run_program(launcher, program, test.input, limits)
    failed = failure(run, limits)
    if failed:
        return result(*failed, run)
    actual = run.stdout.decode("utf-8", "surrogateescape")
    if stdout_matches(test.output, actual):
        return result(Verdict.ACCEPTED, "", run)
    return result(Verdict.WRONG_ANSWER, stdout_difference(test.output, actual), run)


def run_program(launcher: Launcher, program: str, stdin: str, limits: Limits) -> Finished:
    """Run `program` to its end or its first passed bound. Raises LauncherFailedError."""
    data = stdin.encode("utf-8", "surrogatepass")
    run = ProgramRun(launcher, "stdin", limits, cpu_seconds=limits.timeout_seconds, stdin=data)
    try:
        run.load({"program": program})
        deadline = run.begun + limits.timeout_seconds
        pump([run], lambda: run.outputs_ended, deadline)
        return run.finish(deadline)
    finally:
        run.close()
