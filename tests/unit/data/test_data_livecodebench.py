"""Rows of LiveCodeBench, in both of the ways that private tests are published."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from deepcoder_api.problems import FunctionTest, Problem, StdinTest
from deepcoder_api.training_run import Window
from deepcoder_data.livecodebench import LiveCodeBenchRow, livecodebench_problem
from deepcoder_data.rows import LeftOut, RowError
from tests.dataset_rows import livecodebench_function_row, livecodebench_row, pickled_tests


def read(row: dict[str, Any], **window: str) -> Problem | LeftOut:
    """What a row comes to."""
    given = Window.model_validate(window) if window else None
    return livecodebench_problem(LiveCodeBenchRow.model_validate(row), given)


def problem_of(row: dict[str, Any]) -> Problem:
    """The problem of a row that has one."""
    problem = read(row)
    assert isinstance(problem, Problem)
    return problem


def test_a_program_is_tested_by_the_public_and_then_the_private_tests() -> None:
    """As LiveCodeBench grades; the model reads LiveCodeBench's own prompt, its system message first."""
    problem = problem_of(livecodebench_row())

    assert problem.id == "livecodebench/1873_A"
    assert problem.tests == (StdinTest(input="2\n", output="4\n"), StdinTest(input="21\n", output="42\n"))
    assert problem.metadata == {"contest_date": "2023-08-21", "platform": "codeforces", "difficulty": "easy"}
    assert problem.prompt == (
        "You are an expert Python programmer. You will be given a question (problem specification) and will generate "
        "a correct Python program that matches the specification and passes all tests.\n\n"
        "### Question:\nRead an integer and print its double.\n\n"
        "### Format: Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test "
        "on the sample inputs). Enclose your code within delimiters as follows.\n"
        "```python\n# YOUR CODE HERE\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )


def test_a_method_is_called_with_one_argument_a_line() -> None:
    """Arguments and result are JSON; the private test comes out of its pickle."""
    problem = problem_of(livecodebench_function_row())

    assert problem.entry_point == "Solution.times"
    assert problem.tests == (
        FunctionTest(arguments=[[1, 2], 3], expected=[3, 6]),
        FunctionTest(arguments=[["a"], 2], expected=["aa"]),
    )
    assert (
        "```python\nfrom typing import List\n\nclass Solution:\n    def times(self, items: List[int]" in problem.prompt
    )


def test_a_line_of_an_argument_ends_with_a_line_feed_only() -> None:
    """Other line separators may stand within a string."""
    public = json.dumps([{"input": '"a\u2028b\u0085c"\n\n1\n', "output": "true", "testtype": "functional"}])

    first, _ = problem_of(livecodebench_function_row(public_test_cases=public)).tests

    assert first == FunctionTest(arguments=["a\u2028b\u0085c", 1], expected=True)


@pytest.mark.parametrize("date", ["2023-08-21T00:00:00", "2023-08-21", datetime(2023, 8, 21, 18, 30)])
@pytest.mark.parametrize(
    ("window", "within"),
    [
        ({"from": "2023-08-21"}, True),
        ({"to": "2023-08-21"}, True),
        ({"from": "2023-08-21", "to": "2023-08-21"}, True),
        ({"from": "2023-08-22"}, False),
        ({"to": "2023-08-20"}, False),
        ({"from": "2024-01-01", "to": "2024-12-31"}, False),
    ],
)
def test_both_days_of_the_window_count(date: Any, window: dict[str, str], within: bool) -> None:
    """A table has the date as a time stamp, lines of JSON as text."""
    read_row = read(livecodebench_row(contest_date=date), **window)

    assert read_row == (problem_of(livecodebench_row()) if within else LeftOut("outside_window"))


def test_tests_of_a_row_outside_the_window_are_not_looked_at() -> None:
    """They are large, and most rows may be outside."""
    row = livecodebench_row(private_test_cases="no tests", contest_date="2023-05-01T00:00:00")

    assert read(row, **{"from": "2023-06-01"}) == LeftOut("outside_window")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"public_test_cases": "["}, "public_test_cases: no JSON"),
        ({"private_test_cases": "["}, "private_test_cases: no JSON"),
        ({"private_test_cases": pickled_tests("text")}, "list"),
        ({"metadata": "{}"}, "metadata: functional tests need the function's name, func_name"),
        ({"metadata": "x"}, "metadata: no JSON"),
        ({"public_test_cases": '[{"input": "1 2", "output": "1", "testtype": "functional"}]'}, "input: no JSON"),
        ({"public_test_cases": '[{"input": "1", "output": "", "testtype": "functional"}]'}, "output: no JSON"),
        ({"public_test_cases": '[{"input": "1", "output": "1", "testtype": "oral"}]'}, "'stdin' or 'functional'"),
    ],
)
def test_what_cannot_be_read_is_said(changes: dict[str, str], said: str) -> None:
    """By the column that is wrong."""
    with pytest.raises((RowError, ValidationError)) as caught:
        read(livecodebench_function_row(**changes))

    assert said in str(caught.value)
