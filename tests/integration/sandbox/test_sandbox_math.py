r"""Mathematical answers on a real server: what is equal, and what hangs or exhausts the comparison."""

from __future__ import annotations

import pytest

from deepcoder_api.grading import Verdict
from deepcoder_api.problems import MathTest, StdinTest, TestSuite
from deepcoder_sandbox.client import GradeRefusedError
from deepcoder_sandbox.math_tests import COMPARISON_LIMITS


def expects(value: str) -> TestSuite:
    """A problem whose answer is `value`."""
    return TestSuite(tests=(MathTest(expected=value),))


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        (r"\frac{1}{2}", "0.5"),
        (r"\frac{1}{2}", "1/2"),
        ("x^2+2x+1", "(x+1)^2"),
        (r"\{1,2\}", r"\{2, 1\}"),
        ("(1,2)", "(1, 2)"),
        (r"2\sqrt{2}", r"\sqrt 8"),
        ("1,000", "1000"),
        (r"10\text{ cm}", "10"),
        (r"\text{Monday}", "Monday"),
        ("5", "x=5"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ],
)
async def test_equal_values_are_accepted_however_they_are_written(grade, expected, answer):
    """As fractions, decimals, products, sets, with units."""
    assert (await grade(expects(expected), answer)).accepted


@pytest.mark.parametrize(
    ("expected", "answer"), [("3", "4"), ("(1,2)", "[1,2]"), ("x+1", "y+1"), ("2", "1, 2, 3"), (r"\frac13", "0.33")]
)
async def test_other_values_are_wrong(grade, expected, answer):
    """Also an interval with its ends, another variable, a list that has the value, a number cut short."""
    result = await grade(expects(expected), answer)
    assert result.verdict is Verdict.WRONG_ANSWER
    assert result.detail.startswith("test 1: expected ")


@pytest.mark.parametrize(
    "answer", ["1, 2", "2, 1", r"1 \text{ or } 2", r"\{1, 2\}", "x=1, x=2", "1=2=3", "2 < 3", r"\pm 2", "x < 2"]
)
async def test_several_guesses_are_no_answer(grade, answer):
    """Though one of them is right."""
    assert (await grade(expects("2"), answer)).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize("answer", [r"9^{9^{9^{9}}}", r"10000000!", r"\int_0^1 x^{x^{x^x}} dx"])
async def test_a_value_that_never_ends_is_not_right_and_ends(grade, clean, answer):
    """Within the comparison's own limits; what is asked next is graded as ever, and no process is left."""
    result = await grade(expects("2"), answer)
    assert result.verdict in (Verdict.TIME_LIMIT, Verdict.MEMORY_LIMIT)
    assert result.tests[0].wall_seconds < COMPARISON_LIMITS.timeout_seconds + 2
    assert "the value cannot be compared" in result.detail
    assert (await grade(expects("2"), "2")).accepted
    await clean()


@pytest.mark.parametrize("answer", ["{" * 500, r"\frac" * 180, "(" * 900, "1" * 1000, r"\left(" * 150, "\u0000"])
async def test_text_that_is_no_value_is_not_right(grade, answer):
    """However deep it is nested or long it is; and never the grader's own failure."""
    result = await grade(expects("2"), answer)
    assert result.verdict in (Verdict.WRONG_ANSWER, Verdict.TIME_LIMIT, Verdict.MEMORY_LIMIT, Verdict.RUNTIME_ERROR)


@pytest.mark.parametrize(
    "answer",
    [
        r"\text{__import__('os')._exit(0)}",
        "__import__('os')._exit(0)",
        r"\operatorname{exec}(\text{raise SystemExit})",
        "().__class__.__bases__[0].__subclasses__()",
    ],
)
async def test_text_is_never_evaluated_as_python(grade, answer):
    """The comparison lives to say that it is not equal."""
    result = await grade(expects("2"), answer)
    assert result.verdict is Verdict.WRONG_ANSWER
    assert result.detail.startswith("test 1: expected '2'")


async def test_a_value_longer_than_any_is_not_compared(grade):
    """1,000 characters are what a value may have."""
    result = await grade(expects("2"), "2" + " " * 1000 + "x")
    assert (result.verdict, result.detail) == (
        Verdict.WRONG_ANSWER,
        "test 1: 1002 characters; a value has at most 1000",
    )


async def test_math_tests_go_with_no_others(grade):
    """What is a program for one test would be a value for the other."""
    suite = TestSuite(tests=(MathTest(expected="2"), StdinTest(input="", output="2")))
    with pytest.raises(GradeRefusedError, match="math tests compare a value"):
        await grade(suite, "2")
