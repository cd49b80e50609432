r"""The value that an answer to a mathematical question holds."""

from __future__ import annotations

import pytest

from deepcoder_api.problems import MAX_MATH_CHARACTERS, MathTest, Problem
from deepcoder_sandbox.extraction import assemble_program
from deepcoder_sandbox.final_answer import final_answer


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (r"So it is $\boxed{42}$.", "42"),
        (r"\boxed{1}, no: \boxed{ \frac{1}{2} }", r"\frac{1}{2}"),
        (r"\boxed{1} and \fbox{2}", "2"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\text{a brace \}}}", r"\text{a brace \}}"),
        (r"<think>\boxed{1}</think> It is \boxed{2}.", "2"),
        (r"<think>\boxed{1}</think> It is 2.", None),
        (r"<think> \boxed{1}", None),
        (r"\boxed{1", None),
        (r"\boxed{}", None),
        (r"\boxed 5", None),
        ("42", None),
        (r"\boxed{" + "1" * MAX_MATH_CHARACTERS + "}", "1" * MAX_MATH_CHARACTERS),
        (r"\boxed{" + "1" * (MAX_MATH_CHARACTERS + 1) + "}", None),
    ],
)
def test_last_box_after_the_thinking_is_the_answer(answer: str, value: str | None) -> None:
    """With balanced braces, not empty, of bounded length."""
    assert final_answer(answer) == value


def test_a_problem_with_a_math_test_is_answered_with_a_value() -> None:
    """A block of Python is not looked for, and the box of an answer to another problem not either."""
    problem = Problem(id="a", prompt="?", tests=(MathTest(expected="4"),))
    answer = "```python\nprint(4)\n```\nso \\boxed{4}"
    assert assemble_program(problem, answer) == "4"
    assert assemble_program(problem.model_copy(update={"tests": ()}), answer) == "print(4)\n"
