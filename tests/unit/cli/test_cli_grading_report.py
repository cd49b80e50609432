"""What grading came to: counts and pass@1, and how they look."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from deepcoder_api.grading import GradeResult, Limits, TestResult, Verdict
from deepcoder_cli.grading.inputs import Answer
from deepcoder_cli.grading.report import (
    AnswerReport,
    Conditions,
    GradingReport,
    graded,
    not_graded,
    summarize,
    without_program,
)
from deepcoder_cli.grading.view import MOST_FAILURES, GradingProgress, summary

CONDITIONS = Conditions(profile="strict", limits=Limits(), stop_on_first_failure=True, isolated=True)


def answer(problem: str = "a", index: int = 0) -> Answer:
    """An answer with a program."""
    return Answer(index + 1, problem, index, "print(1)")


def report_of(*results: AnswerReport, problems: int = 2) -> GradingReport:
    """The report of the results."""
    return summarize(results, problems=problems, seconds=2.0, conditions=CONDITIONS)


def accepted(problem: str = "a", seconds: float = 0.1) -> AnswerReport:
    """One test passed."""
    tests = (TestResult(verdict=Verdict.ACCEPTED, wall_seconds=seconds, cpu_seconds=0.05, memory_mib=16),)
    return graded(answer(problem), GradeResult(id="x", verdict=Verdict.ACCEPTED, tests=tests, tests_total=1))


def failed(problem: str = "a", verdict: Verdict = Verdict.RUNTIME_ERROR, detail: str = "ValueError") -> AnswerReport:
    """The second of three tests failed, and the third was not run."""
    tests = (
        TestResult(verdict=Verdict.ACCEPTED, wall_seconds=0.5, cpu_seconds=0.25, memory_mib=20),
        TestResult(verdict=verdict, wall_seconds=1, cpu_seconds=0.5, memory_mib=16, detail=detail, stderr="Traceback"),
    )
    return graded(answer(problem), GradeResult(id="x", verdict=verdict, tests=tests, tests_total=3, detail=detail))


def shown(report: GradingReport, width: int = 100) -> str:
    """The summary as a terminal without colours shows it."""
    console = Console(file=io.StringIO(), width=width)
    console.print(summary(report))
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_answer_is_reported_with_its_tests():
    """Seconds are the sum, memory the largest, stderr that of the test that failed."""
    report = failed()
    assert (report.verdict, report.tests_total, len(report.tests)) == ("runtime_error", 3, 2)
    assert (report.wall_seconds, report.cpu_seconds, report.memory_mib) == (1.5, 0.75, 20)
    assert (report.detail, report.stderr) == ("ValueError", "Traceback")
    assert GradingReport.model_validate_json(report_of(report).model_dump_json()) == report_of(report)


def test_pass_at_1_is_the_mean_over_problems():
    """However many answers each has. An answer without a program is wrong; a problem without answers is left out."""
    nothing = without_program(answer("b"), tests=1)
    report = report_of(accepted("a"), accepted("a"), accepted("b"), nothing, nothing, nothing, problems=9)
    assert report.pass_at_1 == pytest.approx((1 + 1 / 4) / 2)
    assert (report.problems, report.problems_answered, report.answers) == (9, 2, 6)
    assert report.verdicts == {"accepted": 3, "no_program": 3}


def test_no_score_while_an_answer_has_no_grade():
    """Unanswered is neither right nor wrong."""
    report = report_of(accepted(), not_graded(answer("b"), 1, "no server"))
    assert (report.pass_at_1, report.not_graded, report.verdicts) == (None, 1, {"accepted": 1})
    text = shown(report)
    assert "pass@1 –, as not every answer was graded" in text
    assert re.search(r"b +0 of 1 +not graded +no server", text)


def test_summary_tells_counts_score_slowest_and_failures():
    """Failures by problem with the first one's detail; what looks like markup is text."""
    text = shown(report_of(accepted("a", 0.25), failed("a"), failed("b", Verdict.WRONG_ANSWER, "[red]x[/red] " * 30)))
    assert re.search(r"a +1 of 2 +runtime_error +ValueError", text)
    assert re.search(r"b +0 of 1 +wrong_answer +\[red\]x\[/red\].*…", text)
    assert re.search(r"b #0 +1.50 s +20 MiB +wrong_answer", text)
    assert re.search(r"1 +accepted +33.3%", text)
    assert "pass@1 0.25 over 2 problems, 3 answers" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_long_lists_of_failures_are_cut():
    """With how many more there are."""
    text = shown(report_of(*(failed(f"problem {number}") for number in range(MOST_FAILURES + 7)), problems=27))
    assert "and 7 more problems" in text
    assert f"problem {MOST_FAILURES} " not in text


def test_everything_accepted_needs_no_list_of_failures():
    """Only what is there is shown."""
    assert "not accepted" not in shown(report_of(accepted()))


def test_progress_is_some_ten_lines_where_there_is_no_terminal():
    """The last names all of them."""
    console = Console(file=io.StringIO(), width=80)
    with GradingProgress(console, 200) as progress:
        for number in range(200):
            progress.add(accepted() if number % 2 else failed())
    lines = console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(lines) == 10
    assert lines[-1] == "grading: 200 of 200 graded, 100 accepted"
