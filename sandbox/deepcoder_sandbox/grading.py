"""A test suite and a program in, a verdict per test out. The only place where expected outputs meet what came back."""

from __future__ import annotations

import contextlib

from deepcoder_api.grading import GradeRequest, GradeResult, TestResult, Verdict
from deepcoder_api.problems import AssertionTest, FunctionTest, MathTest, StdinTest, Test, TestSuite
from deepcoder_sandbox.answers import Answers
from deepcoder_sandbox.assertion_tests import run_assertion_test
from deepcoder_sandbox.function_tests import FunctionProgram
from deepcoder_sandbox.launcher import Launcher
from deepcoder_sandbox.math_tests import run_math_test
from deepcoder_sandbox.stdin_tests import StdinProgram


def grade(launcher: Launcher, suite: TestSuite, request: GradeRequest) -> GradeResult:
    """Run `request.program` against `suite`: one fork for all calls, two for an assertion test, for a stdin test one,
    or one for all of them where the program leaves nothing behind. A math test has no program, but a value.

    Raises LauncherFailedError when the grader itself fails; the launcher must then be restarted.
    """
    if not request.program.strip():
        return GradeResult(id=request.id, verdict=Verdict.NO_PROGRAM, tests_total=len(suite.tests), detail="empty")
    with contextlib.closing(_Candidate(launcher, suite, request)) as candidate:
        results: list[TestResult] = []
        for test in suite.tests:
            results.append(candidate.run_test(test))
            if results[-1].verdict is not Verdict.ACCEPTED and request.stop_on_first_failure:
                break
    results = [candidate.with_peak_memory(result) for result in results]
    failed = next((result for result in results if result.verdict is not Verdict.ACCEPTED), None)
    return GradeResult(
        id=request.id,
        verdict=failed.verdict if failed else Verdict.ACCEPTED,
        tests=tuple(results),
        tests_total=len(suite.tests),
        detail=f"test {results.index(failed) + 1}: {failed.detail}" if failed else "",
    )


class _Candidate:
    """The program of a request, in whatever processes its tests need. `close` must follow."""

    def __init__(self, launcher: Launcher, suite: TestSuite, request: GradeRequest) -> None:
        self._entry_point, self._program = suite.entry_point, request.program
        self._limits = request.limits.of_suite(suite)
        self._launcher = launcher.suited_to(request.program)
        self._answers = Answers(launcher, suite, request.profile)
        calls = [test for test in suite.tests if isinstance(test, FunctionTest)]
        self._calls = FunctionProgram(
            self._launcher, self._program, self._entry_point, self._limits, self._answers, tests=calls
        )
        inputs = [test for test in suite.tests if isinstance(test, StdinTest)]
        self._reader = StdinProgram(self._launcher, self._program, self._limits, self._answers, tests=inputs)

    def run_test(self, test: Test) -> TestResult:
        """The verdict on one test. Raises LauncherFailedError."""
        match test:
            case StdinTest():
                self._calls.close()  # a launcher has one run at a time
                return self._reader.run_test(test)
            case FunctionTest():
                self._reader.close()
                return self._calls.run_test(test)
            case AssertionTest():
                self._calls.close()
                self._reader.close()
                return run_assertion_test(self._launcher, self._program, self._entry_point, test, self._limits)
            case MathTest():
                return run_math_test(self._launcher, self._program, test)

    def with_peak_memory(self, result: TestResult) -> TestResult:
        """A call's result with the peak memory of the process that answered all calls, known once that is over."""
        if result.memory_mib:
            return result
        return result.model_copy(update={"memory_mib": self._calls.peak_memory_mib})

    def close(self) -> None:
        """End all processes. Raises LauncherFailedError."""
        for part in (self._calls, self._reader, self._answers):
            part.close()
