"""Rows of openai/human-eval as problems that a chat model can be asked and that our grader can run."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.problems import AssertionTest, Problem
from deepcoder_data.human_eval import HumanEvalRow, human_eval_problem
from deepcoder_sandbox.extraction import assemble_program
from tests.problem_builders import human_eval_row


def problem_of(row: bytes) -> Problem:
    """The problem of a row as it is published."""
    return human_eval_problem(HumanEvalRow.model_validate_json(row))


def run_check(problem: Problem, program: str) -> None:
    """Run the program and the check in two namespaces, as the sandbox does in two processes."""
    answer: dict[str, Any] = {}
    exec(program, answer)
    (test,) = problem.tests
    assert isinstance(test, AssertionTest)
    names: dict[str, Any] = {}
    exec(test.code, names)
    names["check"](answer[problem.entry_point])


def test_the_model_is_asked_for_a_whole_program_in_one_block() -> None:
    """A chat model reads an instruction and the function's beginning; the row's solution is a whole program."""
    problem = problem_of(human_eval_row())

    assert "```python\ndef double(number):" in problem.prompt
    assert problem.prompt.endswith('"""Twice the number."""\n```')
    assert problem.solution == 'def double(number):\n    """Twice the number."""\n    return 2 * number\n'
    assert (problem.id, problem.entry_point) == ("HumanEval/0", "double")


@pytest.mark.parametrize(
    "block",
    [
        "def double(number):\n    return number + number\n",
        "    return number + number\n",
        "import operator\n\ndef double(number):\n    return operator.add(number, number)\n",
    ],
    ids=["whole function", "only its body", "with an import"],
)
def test_a_whole_answer_and_a_continuation_both_make_a_program(block: str) -> None:
    """The prompt's beginning is put before an answer that only goes on from it."""
    problem = problem_of(human_eval_row())

    program = assemble_program(problem, f"Here it is:\n```python\n{block}```\n")

    assert program is not None
    run_check(problem, program)


def test_a_wrong_program_fails_the_check() -> None:
    """The stub of the prompt, which the check's namespace holds, never stands in for the program."""
    problem = problem_of(human_eval_row())

    with pytest.raises(AssertionError):
        run_check(problem, "def double(number):\n    return 3\n")


def test_a_check_may_use_helpers_of_the_prompt_and_the_function_by_its_name() -> None:
    """The published harness has one namespace for all (HumanEval/32, HumanEval/33); ours has two."""
    row = human_eval_row(
        prompt='def helper(x):\n    return 10 * x\n\n\ndef double(number):\n    """Twice."""\n',
        test="def check(candidate):\n    assert helper(candidate(1)) == 20\n    assert double(3) == 6\n",
    )

    run_check(problem_of(row), "def double(number):\n    return 2 * number\n")
