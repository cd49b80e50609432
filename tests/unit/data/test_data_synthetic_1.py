"""Rows of SYNTHETIC-1: those that ask for a Python program, and why the others are left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepcoder_api.problems import FunctionTest, Problem, StdinTest
from deepcoder_data.published_solutions import USUAL_IMPORTS
from deepcoder_data.rows import LeftOut, RowError
from deepcoder_data.synthetic_1 import Synthetic1Row, synthetic_1_problem
from tests.dataset_rows import synthetic_1_row


def read(**changes: Any) -> Problem | LeftOut:
    """What a row comes to."""
    return synthetic_1_problem(Synthetic1Row.model_validate(synthetic_1_row(**changes)))


def problem_of(**changes: Any) -> Problem:
    """The problem of a row that has one."""
    problem = read(**changes)
    assert isinstance(problem, Problem)
    return problem


def calls(*tests: tuple[Any, Any], name: str | None = "f", **more: Any) -> dict[str, Any]:
    """Verification by calls of a function."""
    cases = [{"type": "function_call", "fn_name": name, "input": given, "output": out} for given, out in tests]
    return {"language": "python", "test_cases": cases, **more}


def test_the_prompt_is_the_rows_own() -> None:
    """It says itself what is read and written; the solution comes out of its fence."""
    problem = problem_of()

    assert problem.prompt == synthetic_1_row()["prompt"]
    assert problem.id == "synthetic-1/vcp_7"
    assert problem.tests == (StdinTest(input="2\n", output="4\n"), StdinTest(input="it's 21\n", output="42\n"))
    assert problem.solution == f"{USUAL_IMPORTS}print(2 * int(input().split()[-1]))\n"


@pytest.mark.parametrize("write", [str, json.dumps, dict])
def test_what_verifies_is_json_or_a_python_literal_or_an_object(write: Any) -> None:
    """All three are published."""
    info = calls(([[1, 2], 3], None), ([[True], "x"], 1.5))

    assert problem_of(verification_info=write(info)).tests == (
        FunctionTest(arguments=[[1, 2], 3], expected=None),
        FunctionTest(arguments=[[True], "x"], expected=1.5),
    )


def test_results_in_lists_of_one_are_taken_out_of_them() -> None:
    """Rows that come from APPS keep them so, rows that come from elsewhere do not."""
    wrapped = problem_of(verification_info=calls(([[3, 1]], [[1, 3]]), ([[]], [[]])))
    plain = problem_of(verification_info=calls(([[3, 1]], [1, 3]), ([[]], [])))

    assert wrapped.tests == plain.tests


@pytest.mark.parametrize(
    ("solution", "entry_point"),
    [
        ("def f(a):\n    return a", "f"),
        ("class Solution:\n    def f(self, a):\n        return a", "Solution.f"),
        (None, "f"),
    ],
)
def test_a_method_is_called_where_the_solution_has_one(solution: str | None, entry_point: str) -> None:
    """The row names the function only."""
    info = calls(([1], [1]))

    assert problem_of(verification_info=info, gold_standard_solution=solution).entry_point == entry_point


def test_other_tasks_and_languages_are_left_out() -> None:
    """They are no bad rows: the source does not ask for them."""
    assert read(task_type="verifiable_math", verification_info='{"ground_truth": "7"}') == LeftOut("other_task")
    assert read(verification_info=calls(([1], [1]), language="rust")) == LeftOut("other_language")


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (None, "verification_info: is missing"),
        ("", "verification_info: neither JSON nor a Python literal"),
        ("__import__('os').system('true')", "verification_info: neither JSON nor a Python literal"),
        ("{'test_cases': [{1, 2}]}", "Object of type set is not JSON serializable"),
        (r"{'test_cases': [{'input': ['\ud800'], 'output': 1}]}", "neither JSON nor a Python literal of JSON values"),
        ("-" * 5000 + "1", "verification_info: neither JSON nor a Python literal"),
        ("-" * 100_000 + "1", "verification_info: neither JSON nor a Python literal"),
        ("(" * 3000, "verification_info: neither JSON nor a Python literal"),
        (calls(([1], [1]), name=None), "all must call one function"),
        ({"test_cases": [*calls(([1], 1))["test_cases"], *calls(([1], 1), name="g")["test_cases"]]}, "one function"),
        ({"test_cases": [*calls(([1], 1))["test_cases"], {"input": "1", "output": "1"}]}, "all must call one function"),
    ],
)
def test_what_cannot_be_read_is_said(info: Any, said: str) -> None:
    """A Python literal is never run."""
    with pytest.raises(RowError) as caught:
        read(verification_info=info)

    assert said in str(caught.value)
