"""Rows of DeepCoder's own selection, whose parts keep tests in three shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepcoder_api.problems import FunctionTest, Problem, StdinTest
from deepcoder_data.deepcoder_preview import DeepCoderRow, deepcoder_problem
from deepcoder_data.rows import RowError
from tests.dataset_rows import deepcoder_row

STDIN = (StdinTest(input="2\n", output="4\n"), StdinTest(input="21\n", output="42\n"))


def problem_of(**changes: Any) -> Problem:
    """The problem of a row."""
    return deepcoder_problem(DeepCoderRow.model_validate(deepcoder_row(**changes)))


def one_by_one(**more: str) -> list[dict[str, Any]]:
    """The two tests of the row, one by one."""
    return [{"input": test.input, "output": test.output, **more} for test in STDIN]


@pytest.mark.parametrize(
    "tests",
    [
        {"inputs": ["2\n", "21\n"], "outputs": ["4\n", "42\n"]},
        one_by_one(type="stdin_stdout"),
        one_by_one(testtype="stdin"),
    ],
    ids=["taco", "primeintellect", "lcbv5"],
)
@pytest.mark.parametrize("write", [json.dumps, lambda value: value])
def test_each_part_has_its_own_shape_of_tests(tests: Any, write: Any) -> None:
    """They come to the same tests."""
    problem = problem_of(tests=write(tests))

    assert problem.tests == STDIN
    assert problem.id == problem_of().id


def test_functions_of_each_part_are_called() -> None:
    """By the name that the tests or the metadata have, as a method where the starter code or the solution has one."""
    method = "class Solution:\n    def f(self, a):\n        return a"
    taco = problem_of(tests={"fn_name": "f", "inputs": [[1]], "outputs": [[2]]})
    prime = problem_of(
        tests=[{"type": "function_call", "fn_name": "f", "input": [1], "output": [2]}], solutions=[method]
    )
    lcb = problem_of(
        tests=[{"testtype": "functional", "input": "1", "output": "2"}],
        metadata={"func_name": "f"},
        starter_code="class Solution:\n    def f(self, a: int) -> int:\n        ",
    )

    assert [one.tests for one in (taco, prime, lcb)] == [(FunctionTest(arguments=[1], expected=2),)] * 3
    assert [one.entry_point for one in (taco, prime, lcb)] == ["f", "Solution.f", "Solution.f"]


def test_only_a_question_that_says_how_to_answer_stands_alone() -> None:
    """Those of primeintellect do."""
    assert problem_of(tests=one_by_one(type="stdin_stdout")).prompt == deepcoder_row()["problem"]
    assert "### Format: Read the inputs from stdin" in problem_of(tests=one_by_one(testtype="stdin")).prompt
    assert "### Format: Read the inputs from stdin" in problem_of().prompt


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tests": "["}, "tests: no JSON"),
        ({"tests": "7"}, "tests: a list of tests, or an object with inputs and outputs, is needed"),
        ({"tests": [{"testtype": "functional", "input": "1", "output": "1"}]}, "metadata: functional tests need"),
        ({"tests": one_by_one(testtype="stdin"), "metadata": "["}, "metadata: no JSON"),
    ],
)
def test_what_cannot_be_read_is_said(changes: dict[str, Any], said: str) -> None:
    """By the column that is wrong."""
    with pytest.raises(RowError) as caught:
        problem_of(**changes)

    assert str(caught.value).startswith(said)
