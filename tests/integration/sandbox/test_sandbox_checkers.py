"""Problems with several right answers: their checker decides, in a process of its own."""

from __future__ import annotations

import pytest

from deepcoder_api.grading import Verdict
from deepcoder_api.problems import FunctionTest, StdinTest, TestSuite
from deepcoder_sandbox.client import GradeRefusedError

TWO_THAT_SUM = """
def check(input, output, expected):
    a, b = map(int, output.split())
    return a + b == int(input) and a != b
"""
ANY_ORDER = (
    "def check(input, output, expected):\n    return sorted(output) == sorted(expected) and type(output) is list\n"
)


def _sums(checker: str = TWO_THAT_SUM) -> TestSuite:
    return TestSuite(tests=tuple(StdinTest(input=f"{n}\n", output="0 0") for n in (5, 9, 1)), checker=checker)


@pytest.mark.parametrize("program", ["n = int(input())\nprint(0, n)", "n = int(input())\nprint(n + 1, -1)"])
async def test_every_right_answer_is_accepted(grade, program):
    """Two programs that print different right answers both pass, though neither prints the expected text."""
    assert (await grade(_sums(), program)).accepted


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("print(1, 1)", "test 1: the problem's checker says no"),
        (
            "print('x')",
            "test 1: the problem's checker raised ValueError: invalid literal for int() with base 10: 'x'",
        ),
        ("print('None')", "test 1: the problem's checker raised ValueError"),
        ("n = int(input())\nprint(*(0, n) if n != 9 else (4, 4))", "test 2: the problem's checker says no"),
    ],
)
async def test_a_wrong_answer_is_refused_with_the_checkers_word(grade, program, detail):
    """Also one that the checker cannot read."""
    result = await grade(_sums(), program)
    assert result.verdict is Verdict.WRONG_ANSWER
    assert result.detail.startswith(detail)


async def test_a_checker_sees_what_a_call_returned(grade):
    """As the value itself; the arguments and the expected value with it."""
    suite = TestSuite(entry_point="f", tests=(FunctionTest(arguments=[3], expected=[0, 1, 2]),), checker=ANY_ORDER)
    assert (await grade(suite, "def f(n): return list(range(n))[::-1]")).accepted
    assert not (await grade(suite, "def f(n): return tuple(range(n))")).accepted
    assert not (await grade(suite, "def f(n): return [0, 1]")).accepted


async def test_a_program_cannot_reach_its_checker(grade, clean):
    """It shares no process with it: what it patches, forks or writes stays its own."""
    program = (
        "import builtins, os, sys\nbuiltins.int = lambda *a: 5\nbuiltins.sorted = lambda *a: 0\n"
        "for n in range(3, 64):\n    try: os.write(n, b'{\"right\": true}')\n    except OSError: pass\nprint(1, 1)"
    )
    assert (await grade(_sums(), program)).verdict is Verdict.WRONG_ANSWER
    await clean()


@pytest.mark.parametrize(
    "checker",
    [
        "import time\ndef check(input, output, expected):\n    while True: time.sleep(1)\n",
        "def check(input, output, expected):\n    import os\n    os._exit(0)\n",
        "check = 1 / 0",
    ],
)
async def test_a_checker_that_fails_accepts_nothing(grade, clean, checker):
    """It is the problem's fault, seen when its own solution is verified; the next grade goes on."""
    suite = TestSuite(tests=(StdinTest(input="1\n", output="1"),), checker=checker)
    result = await grade(suite, "print(input())")
    assert result.verdict is Verdict.WRONG_ANSWER
    assert "the problem's checker" in result.detail
    await clean()


@pytest.mark.parametrize("checker", ["def check(", "def judge(a, b, c): return True"])
async def test_a_checker_that_defines_no_check_is_refused(grade, checker):
    """Before anything is run."""
    with pytest.raises(GradeRefusedError, match="the checker does not"):
        await grade(_sums(checker), "print(1)")
