"""What grading came to: every answer by itself, and the counts and pass@1 over all. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deepcoder_api.grading import GradeResult, Limits, Profile, TestResult, Verdict
from deepcoder_api.problems import Strict
from deepcoder_cli.grading.inputs import Answer


class AnswerReport(Strict):
    """One answer: number `index` to its problem, on `line` of the answers file.

    `verdict` is None when no server graded it, and `error` says why: that is neither right nor wrong. Seconds are the
    tests' sum, MiB their largest; `detail` and `stderr` are of the first test that was not accepted.
    """

    problem: str
    index: int
    line: int
    verdict: Verdict | None
    tests: tuple[TestResult, ...] = ()
    tests_total: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    detail: str = ""
    stderr: str = ""
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether every test passed."""
        return self.verdict is Verdict.ACCEPTED


class Conditions(Strict):
    """Under what it was graded. `isolated` says whether gVisor was between the programs and the machine."""

    profile: Profile
    limits: Limits
    stop_on_first_failure: bool
    isolated: bool


class GradingReport(Strict):
    """The whole. `pass_at_1` is the mean over problems with answers of the share accepted; None if any has no grade."""

    problems: int
    problems_answered: int
    answers: int
    not_graded: int
    pass_at_1: float | None
    verdicts: dict[str, int]
    seconds: float
    conditions: Conditions
    results: tuple[AnswerReport, ...]


def graded(answer: Answer, result: GradeResult) -> AnswerReport:
    """The report of an answer that a server graded."""
    failed = next((test for test in result.tests if test.verdict is not Verdict.ACCEPTED), None)
    return AnswerReport(
        problem=answer.problem,
        index=answer.index,
        line=answer.line,
        verdict=result.verdict,
        tests=result.tests,
        tests_total=result.tests_total,
        wall_seconds=sum(test.wall_seconds for test in result.tests),
        cpu_seconds=sum(test.cpu_seconds for test in result.tests),
        memory_mib=max((test.memory_mib for test in result.tests), default=0.0),
        detail=result.detail,
        stderr=failed.stderr if failed else "",
    )


def without_program(answer: Answer, tests: int) -> AnswerReport:
    """The report of an answer that has nothing to run: the model's own doing."""
    verdict = Verdict.NO_PROGRAM
    return AnswerReport(
        problem=answer.problem, index=answer.index, line=answer.line, verdict=verdict, tests_total=tests,
        detail=answer.detail,
    )  # fmt: skip


def not_graded(answer: Answer, tests: int, error: str) -> AnswerReport:
    """The report of an answer that no server graded."""
    return AnswerReport(
        problem=answer.problem, index=answer.index, line=answer.line, verdict=None, tests_total=tests, error=error
    )


def summarize(
    results: Sequence[AnswerReport], *, problems: int, seconds: float, conditions: Conditions
) -> GradingReport:
    """Counts and score over the results."""
    by_problem: dict[str, list[AnswerReport]] = {}
    for result in results:
        by_problem.setdefault(result.problem, []).append(result)
    missing = sum(result.verdict is None for result in results)
    shares = [sum(one.accepted for one in group) / len(group) for group in by_problem.values()]
    counted = Counter(result.verdict for result in results)
    return GradingReport(
        problems=problems,
        problems_answered=len(by_problem),
        answers=len(results),
        not_graded=missing,
        pass_at_1=sum(shares) / len(shares) if shares and not missing else None,
        verdicts={verdict.value: counted[verdict] for verdict in Verdict if counted[verdict]},
        seconds=seconds,
        conditions=conditions,
        results=tuple(results),
    )
