"""Rows of MBPP, full and sanitized, as problems whose tests are checks of their own."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.problems import AssertionTest, Problem
from deepcoder_data.mbpp import MbppRow, mbpp_problem
from deepcoder_data.rows import RowError
from tests.dataset_rows import mbpp_row, sanitized_mbpp_row


def problem_of(row: dict[str, Any]) -> Problem:
    """The problem of a row as it is published."""
    return mbpp_problem(MbppRow.model_validate(row))


def passed(problem: Problem, program: str) -> list[bool]:
    """Which tests a program passes: it and each check in a namespace of its own, as the sandbox has two processes."""
    answer: dict[str, Any] = {}
    exec(program, answer)
    results: list[bool] = []
    for test in problem.tests:
        assert isinstance(test, AssertionTest)
        names: dict[str, Any] = {}
        exec(test.code, names)
        try:
            names["check"](answer[problem.entry_point])
            results.append(True)
        except AssertionError:
            results.append(False)
    return results


@pytest.mark.parametrize(
    ("row", "id", "function"), [(mbpp_row(), "mbpp/2", "similar_elements"), (sanitized_mbpp_row(), "mbpp/14", "area")]
)
def test_the_rows_own_code_passes(row: dict[str, Any], id: str, function: str) -> None:
    """The tested function is the one that the code defines, not a builtin that the test calls too."""
    problem = problem_of(row)

    assert (problem.id, problem.entry_point) == (id, function)
    assert problem.solution is not None
    assert passed(problem, problem.solution) == [True] * len(row["test_list"])


def test_each_assertion_is_a_test() -> None:
    """A program may pass one and fail another."""
    assert passed(problem_of(mbpp_row()), "def similar_elements(one, two):\n    return (4, 5)\n") == [True, False]


def test_only_the_first_test_is_shown() -> None:
    """It names the function; who answers by heart fails the others."""
    problem = problem_of(mbpp_row())

    assert "Write a function to find the shared elements of two lists." in problem.prompt
    assert "assert set(similar_elements((3, 4, 5), (5, 7, 4))) == set((4, 5))" in problem.prompt
    assert "((1, 2), (3, 4))" not in problem.prompt


def test_setup_and_imports_are_there_for_every_test() -> None:
    """Of the full set and of the sanitized one."""
    row = mbpp_row(
        test_setup_code="LIMIT = 2",
        test_imports=["import math"],
        test_list=[
            "assert similar_elements([LIMIT], [2]) == (2,)",
            "assert math.gcd(*similar_elements([4], [4])) == 4",
        ],
    )
    problem = problem_of(row)

    assert problem.solution is not None
    assert passed(problem, problem.solution) == [True, True]


def test_text_of_several_lines_in_a_test_stays_as_it_is() -> None:
    """A check is indented; what stands in quotes is not."""
    row = mbpp_row(code="def f(text):\n    return text", test_list=['assert f("""a\n  b\n""") == "a\\n  b\\n"'])
    problem = problem_of(row)

    assert passed(problem, "def f(text):\n    return text") == [True]


def test_a_row_without_tests_is_a_problem_without_tests() -> None:
    """It is dropped, and counted, as one that has none."""
    assert problem_of(mbpp_row(test_list=[])).tests == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": " "}, "text, prompt: one of them must say what is asked for"),
        ({"code": "def f(:"}, "code: no Python: "),
        ({"code": "x = 1"}, "test_list: the first test calls no function that code defines"),
        ({"test_list": ["assert f("]}, "test_list: no Python: "),
        ({"test_list": ["assert \0"]}, "test_list: no Python: "),
        ({"test_list": ["assert len([]) == 0"]}, "test_list: the first test calls no function that code defines"),
    ],
)
def test_what_cannot_be_read_is_said(changes: dict[str, Any], said: str) -> None:
    """By the column that is wrong."""
    with pytest.raises(RowError) as caught:
        problem_of(mbpp_row(**changes))

    assert str(caught.value).startswith(said)
