"""A test suite and a program in, a verdict per test out. The only place where expected outputs meet what came back."""

from __future__ import annotations

from collections.abc import Iterator

from deepcoder_api.grading import GradeRequest, GradeResult, TestResult, Verdict
from deepcoder_api.problems import AssertionTest, FunctionTest, StdinTest, TestSuite
from deepcoder_sandbox.answers import Answers
from deepcoder_sandbox.assertion_tests import run_assertion_test
from deepcoder_sandbox.function_tests import FunctionProgram
from deepcoder_sandbox.launcher import Launcher
from deepcoder_sandbox.stdin_tests import StdinProgram


def grade(launcher: Launcher, suite: TestSuite, request: GradeRequest) -> GradeResult:
    """Run `request.program` against `suite`: one fork for all calls, two for an assertion test, for a stdin test one,
    or one for all of them where the program leaves nothing behind.

    Raises LauncherFailedError when the grader itself fails; the launcher must then be restarted.
    """
    if not request.program.strip():
        return GradeResult(id=request.id, verdict=Verdict.NO_PROGRAM, tests_total=len(suite.tests), detail="empty")
    results: list[TestResult] = []
    for result in _results(launcher, suite, request):
        results.append(result)
        if result.verdict is not Verdict.ACCEPTED and request.stop_on_first_failure:
            break
    failed = next((result for result in results if result.verdict is not Verdict.ACCEPTED), None)
    return GradeResult(
        id=request.id,
        verdict=failed.verdict if failed else Verdict.ACCEPTED,
        tests=tuple(results),
        tests_total=len(suite.tests),
        detail=f"test {results.index(failed) + 1}: {failed.detail}" if failed else "",
    )


def _results(launcher: Launcher, suite: TestSuite, request: GradeRequest) -> Iterator[TestResult]:
    answers = Answers(launcher, suite, request.profile)
    launcher = launcher.suited_to(request.program)
    calls = FunctionProgram(
        launcher,
        request.program,
        suite.entry_point,
        request.limits,
        answers,
        tests=[test for test in suite.tests if isinstance(test, FunctionTest)],
    )
    reader = StdinProgram(launcher, request.program, request.limits, answers, tests=len(suite.tests))
    try:
        for test in suite.tests:
            match test:
                case StdinTest():
                    yield reader.run_test(test)
                case FunctionTest():
                    yield calls.run_test(test)
                case AssertionTest():
                    yield run_assertion_test(launcher, request.program, suite.entry_point, test, request.limits)
    finally:
        for part in (calls, reader, answers):
            part.close()
