"""Rows of TACO and TACO-verified as problems that can be put to a model and graded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepcoder_api.problems import FunctionTest, Problem, StdinTest
from deepcoder_data.published_solutions import USUAL_IMPORTS
from deepcoder_data.rows import RowError
from deepcoder_data.taco import TacoRow, taco_problem
from tests.dataset_rows import taco_function_row, taco_row


def problem_of(row: dict[str, Any]) -> Problem:
    """The problem of a row as it is published."""
    return taco_problem(TacoRow.model_validate(row))


def lists(inputs: list[Any], outputs: list[Any], **more: Any) -> str:
    """The column input_output."""
    return json.dumps({"inputs": inputs, "outputs": outputs, **more})


def test_a_program_is_tested_by_standard_input() -> None:
    """Its first solution is the one to verify, and comes with the imports that the published graders put before it."""
    problem = problem_of(taco_row())

    assert problem.tests == (StdinTest(input="2\n", output="4\n"), StdinTest(input="21\n", output="42\n"))
    assert problem.entry_point is None
    assert problem.solution == f"{USUAL_IMPORTS}print(2 * int(input()))\n"
    assert "### Question:\nRead an integer and print its double.\n" in problem.prompt
    assert "Read the inputs from stdin" in problem.prompt
    assert problem.metadata == {"difficulty": "EASY", "url": "https://codeforces.com/problemset/problem/1/A"}


def test_a_function_is_called_with_its_arguments() -> None:
    """Each published result is the only item of a list."""
    problem = problem_of(taco_function_row())

    assert problem.tests == (FunctionTest(arguments=[2], expected=4), FunctionTest(arguments=[21], expected=42))
    assert problem.entry_point == "double"
    assert "```python\ndef double(number):\n```" in problem.prompt


@pytest.mark.parametrize("solutions", ["", "[]", None, [], [""]])
def test_a_row_may_have_no_solution(solutions: Any) -> None:
    """Whether it is kept is verifySolutions' decision."""
    assert problem_of(taco_row(solutions=solutions)).solution is None


def test_solutions_may_be_a_list() -> None:
    """TACO-verified has them so."""
    assert problem_of(taco_row(solutions=["", "print(1)"])).solution == f"{USUAL_IMPORTS}print(1)"


def test_lines_may_be_a_list() -> None:
    """Some rows keep the input line by line."""
    (test,) = problem_of(taco_row(input_output=lists([["1", "2 3"]], [["4"]]))).tests

    assert test == StdinTest(input="1\n2 3", output="4")


@pytest.mark.parametrize("published", ["", " ", "{}", '{"inputs": [], "outputs": []}'])
def test_a_row_without_tests_is_a_problem_without_tests(published: str) -> None:
    """It is dropped, and counted, as one that has none."""
    assert problem_of(taco_row(input_output=published)).tests == ()


@pytest.mark.parametrize(
    ("published", "said"),
    [
        ("[1", "input_output: no JSON"),
        ("[]", "input_output: an object with inputs and outputs is needed"),
        (lists(["1"], []), "inputs, outputs: 1 and 0 of them"),
        (lists([None], ["1"]), "inputs: text or its lines are needed, not null"),
        (lists(["N = 3"], [[1]], fn_name="f"), 'inputs: the arguments of a call are a list, not "N = 3"'),
        (lists([[1]], [[1]], fn_name="a b"), "the function's name must be a name in Python"),
        ('{"fn_name": "f", "inputs": [[NaN]], "outputs": [[1]]}', "input_output: no JSON"),
        ('{"fn_name": "f", "inputs": [[%s]], "outputs": [[1]]}' % ("9" * 5000), "input_output: no JSON"),
        ("[" * 5000, "input_output: no JSON"),
    ],
)
def test_what_cannot_be_read_is_said(published: str, said: str) -> None:
    """By the column, the value and what is needed."""
    with pytest.raises(RowError) as caught:
        problem_of(taco_row(input_output=published))

    assert said in str(caught.value)


def test_the_id_is_that_of_the_statement() -> None:
    """It stays when tests, solutions or the row's place change, and differs for another statement."""
    id = problem_of(taco_row()).id

    assert id.startswith("taco/")
    assert problem_of(taco_row(input_output="", solutions="", url=None)).id == id
    assert problem_of(taco_row(question="Another.")).id != id
    assert problem_of(taco_row(starter_code="def f():")).id != id
