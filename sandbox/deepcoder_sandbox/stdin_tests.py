"""Stdin tests: a real process with real pipes as its standard streams, its output compared here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from deepcoder_api.grading import Limits, TestResult, Verdict
from deepcoder_api.problems import StdinTest
from deepcoder_sandbox.answers import Answers
from deepcoder_sandbox.launcher import Launcher
from deepcoder_sandbox.program_run import Finished, ProgramRun, pump, started
from deepcoder_sandbox.sending_ahead import to_send
from deepcoder_sandbox.sent_ahead import INLINE_BYTES
from deepcoder_sandbox.verdicts import failure, result

MARK_BYTES = 16


class StdinProgram:
    """A program that reads standard input. Each test has a process of its own, unless the program leaves nothing
    behind (`shareable`): then one process runs test after test, and whatever it does not end well is run again alone.
    Inputs are sent to it ahead, so that it need not wait for the grader between two tests.
    """

    def __init__(
        self, launcher: Launcher, program: str, limits: Limits, answers: Answers, *, tests: Sequence[StdinTest]
    ) -> None:
        """`tests`: what `run_test` will be called with, in this order."""
        self._launcher = launcher
        self._program = program
        self._limits = limits
        self._answers = answers
        self._tests = tests
        self._begun = self._sent = 0
        self._run: ProgramRun | None = None

    def run_test(self, test: StdinTest) -> TestResult:
        """The verdict on the program given `test.input`. Raises LauncherFailedError."""
        self._begun += 1
        run = self._run_again() or self._run_anew(_input(test))
        failed = failure(run, self._limits)
        if failed:
            return result(*failed, run)
        actual = run.stdout.decode("utf-8", "surrogateescape")
        objection = self._answers.output_objection(test, actual)
        return result(Verdict.ACCEPTED if objection is None else Verdict.WRONG_ANSWER, objection or "", run)

    def close(self) -> None:
        """End the program's process. Raises LauncherFailedError."""
        if self._run is not None:
            run, self._run = self._run, None
            run.close()

    def _run_again(self) -> Finished | None:
        """The test in the process of the test before it; None when there is none, or it did not end well."""
        run = self._run
        if run is None:
            return None
        run.next_test()
        self._send_ahead(run)
        pump([run], lambda: run.test_ended or run.outputs_ended, run.begun + self._limits.timeout_seconds)
        finished = run.take_test() if run.test_ended and not run.stop else None
        if finished is None or failure(finished, self._limits):
            self.close()
            return None
        return finished

    def _send_ahead(self, run: ProgramRun) -> None:
        """Send the input that is due and some after it; one that is large only when it is due."""
        inputs = to_send(self._tests, _input, begun=self._begun, sent=self._sent, largest=INLINE_BYTES)
        if inputs:
            run.send_tests(inputs)
            self._sent += len(inputs)
        elif self._sent < self._begun:
            run.send_large_test(_input(self._tests[self._sent]))
            self._sent += 1

    def _run_anew(self, data: bytes) -> Finished:
        limits = self._limits
        run = _started(self._launcher, self._program, data, limits, len(self._tests) - self._begun + 1)
        self._sent = self._begun
        try:
            deadline = run.begun + limits.timeout_seconds
            pump([run], lambda: run.outputs_ended or run.test_ended, deadline)
            finished = run.take_test() if run.test_ended and not run.stop else None
            if finished is not None:
                self._run = run
                return finished
            return run.finish(deadline)
        finally:
            if self._run is not run:
                run.close()


def run_program(launcher: Launcher, program: str, stdin: str, limits: Limits) -> Finished:
    """Run `program` to its end or its first passed bound. Raises LauncherFailedError."""
    run = _started(launcher, program, stdin.encode("utf-8", "surrogatepass"), limits, 1)
    try:
        deadline = run.begun + limits.timeout_seconds
        pump([run], lambda: run.outputs_ended, deadline)
        return run.finish(deadline)
    finally:
        run.close()


def _started(launcher: Launcher, program: str, stdin: bytes, limits: Limits, tests: int) -> ProgramRun:
    """A process that has begun the first of at most `tests` tests."""
    mark = secrets.token_bytes(MARK_BYTES)
    task = {"program": program, "tests": tests, "mark": mark.hex()}
    return started(launcher, "stdin", task, limits, cpu_seconds=limits.timeout_seconds * tests, stdin=stdin, mark=mark)


def _input(test: StdinTest) -> bytes:
    return test.input.encode("utf-8", "surrogatepass")
