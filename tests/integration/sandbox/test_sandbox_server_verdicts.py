"""Each verdict, for each kind of test, through a real server."""

from __future__ import annotations

import pytest

from deepcoder_api.grading import Limits, Verdict
from deepcoder_api.problems import AssertionTest, FunctionTest, StdinTest, TestSuite

STDIN_PROGRAMS = {
    "print(2 * int(input()))": Verdict.ACCEPTED,
    "print(3 * int(input()))": Verdict.WRONG_ANSWER,
    "pass": Verdict.WRONG_ANSWER,
    "print(2 * int(input()))\nraise SystemExit(1)": Verdict.RUNTIME_ERROR,
    "print(2 * int(input()))\nraise ValueError('no')": Verdict.RUNTIME_ERROR,
    "def": Verdict.RUNTIME_ERROR,
    "import ctypes\nctypes.string_at(0)": Verdict.RUNTIME_ERROR,
    "while True: pass": Verdict.TIME_LIMIT,
    "import time\ntime.sleep(100)": Verdict.TIME_LIMIT,
    "x = [0] * 10**9": Verdict.MEMORY_LIMIT,
    "while True: print('y' * 1000)": Verdict.OUTPUT_LIMIT,
    "print('y' * 1_100_000)": Verdict.OUTPUT_LIMIT,
    "   \n": Verdict.NO_PROGRAM,
}

FUNCTION_PROGRAMS = {
    "def f(x): return [x, x]": Verdict.ACCEPTED,
    "def f(x): return (x, float(x))": Verdict.ACCEPTED,
    "def f(x):\n    print('noise' * 1000)\n    return [x, x]": Verdict.ACCEPTED,
    "from numpy import int64\ndef f(x): return [int64(x), x]": Verdict.ACCEPTED,
    "def f(x): return [x, True]": Verdict.WRONG_ANSWER,
    "def f(x): return [x, str(x)]": Verdict.WRONG_ANSWER,
    "def f(x): return (y for y in [x, x])": Verdict.WRONG_ANSWER,
    "def f(x): return None": Verdict.WRONG_ANSWER,
    "def f(x): raise KeyError(x)": Verdict.RUNTIME_ERROR,
    "def f(x): exit(0)": Verdict.RUNTIME_ERROR,
    "def g(x): return [x, x]": Verdict.RUNTIME_ERROR,
    "raise ValueError": Verdict.RUNTIME_ERROR,
    "import os\nos._exit(0)": Verdict.RUNTIME_ERROR,
    "def f(x):\n    while True: pass": Verdict.TIME_LIMIT,
    "while True: pass": Verdict.TIME_LIMIT,
    "def f(x): return bytearray(10**9)": Verdict.MEMORY_LIMIT,
    "def f(x): return 'y' * 10**7": Verdict.OUTPUT_LIMIT,
}

ASSERTION_PROGRAMS = {
    "def f(x): return (x, {x})": Verdict.ACCEPTED,
    "def f(x): return [x, {x}]": Verdict.WRONG_ANSWER,
    "def f(x): return (x, [x])": Verdict.WRONG_ANSWER,
    "def f(x): raise KeyError(x)": Verdict.RUNTIME_ERROR,
    "def f(x): raise AssertionError": Verdict.RUNTIME_ERROR,
    "import os\ndef f(x): os._exit(0)": Verdict.RUNTIME_ERROR,
    "def f(x):\n    while True: pass": Verdict.TIME_LIMIT,
    "def f(x): return bytearray(10**9)": Verdict.MEMORY_LIMIT,
    "def f(x): return 'y' * 10**7": Verdict.OUTPUT_LIMIT,
}


def limits_for(verdict: Verdict) -> Limits:
    """Little time for what is meant to use all of it, much for what is not."""
    return Limits(timeout_seconds=1.5 if verdict is Verdict.TIME_LIMIT else 8, memory_mib=256, output_mib=1)


@pytest.mark.parametrize(("program", "verdict"), STDIN_PROGRAMS.items())
async def test_stdin_program_gets_its_verdict(grade, doubling, program, verdict):
    """A program on standard input is judged by what it prints, its exit status and what it uses."""
    result = await grade(doubling, program, limits_for(verdict))
    assert result.verdict is verdict, result


@pytest.mark.parametrize(("program", "verdict"), FUNCTION_PROGRAMS.items())
async def test_function_program_gets_its_verdict(grade, program, verdict):
    """A called program is judged by the JSON value it returns; printing does not matter."""
    suite = TestSuite(entry_point="f", tests=tuple(FunctionTest(arguments=[n], expected=[n, n]) for n in (3, 1)))
    result = await grade(suite, program, limits_for(verdict))
    assert result.verdict is verdict, result


@pytest.mark.parametrize(("program", "verdict"), ASSERTION_PROGRAMS.items())
async def test_asserted_program_gets_its_verdict(grade, program, verdict):
    """Assertion code sees returned values with their Python types; exceptions are the program's own."""
    code = "def check(candidate):\n    for n in range(3):\n        assert candidate(n) == (n, {n})\n"
    result = await grade(TestSuite(entry_point="f", tests=(AssertionTest(code=code),)), program, limits_for(verdict))
    assert result.verdict is verdict, result


async def test_method_of_a_class_is_called(grade):
    """`Solution.f` is called on a new object."""
    suite = TestSuite(entry_point="Solution.f", tests=(FunctionTest(arguments=[2, 3], expected=5),))
    assert (await grade(suite, "class Solution:\n    def f(self, a, b): return a + b")).accepted


async def test_raised_exception_reaches_the_assertion_code_as_its_builtin_type(grade):
    """Assertion code that expects a ValueError sees one, also for the program's own subclass."""
    code = (
        "def check(candidate):\n    try:\n        candidate(1)\n    except ValueError as error:\n"
        "        assert str(error) == 'odd'\n        return\n    assert False\n"
    )
    program = "class Odd(ValueError): pass\ndef f(x): raise Odd('odd')"
    assert (await grade(TestSuite(entry_point="f", tests=(AssertionTest(code=code),)), program)).accepted


async def test_all_tests_are_run_when_asked(grade):
    """Without stop_on_first_failure every test has a result, also after one that ended the program's process."""
    tests = tuple(FunctionTest(arguments=[n], expected=n) for n in range(5))
    program = "import os\ndef f(x):\n    if x == 1: os._exit(0)\n    if x == 2: return 0\n    return x"
    result = await grade(TestSuite(entry_point="f", tests=tests), program, stop_on_first_failure=False)
    verdicts = [test.verdict.value for test in result.tests]
    assert verdicts == ["accepted", "runtime_error", "wrong_answer", "accepted", "accepted"]
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert result.tests_total == 5


async def test_tests_after_the_first_failure_are_not_run(grade, doubling):
    """By default the first failure ends the grade; the total is still told."""
    result = await grade(doubling, "print(14)")
    assert [test.verdict.value for test in result.tests] == ["accepted", "wrong_answer"]
    assert result.tests_total == 3


async def test_result_tells_what_was_used(grade, doubling):
    """Wall and CPU seconds and peak memory come back, and the end of stderr for a runtime error."""
    program = (
        "import time\nx = b'1' * 50_000_000\nt = time.process_time()\nwhile time.process_time() - t < 0.3: pass\n1 / 0"
    )
    (test,) = (await grade(doubling, program)).tests
    assert 0.3 <= test.wall_seconds < 8
    assert 0.25 <= test.cpu_seconds < 2
    assert 50 <= test.memory_mib < 150
    assert test.detail == "ZeroDivisionError: division by zero"


async def test_cpu_time_is_bound_like_wall_time(grade):
    """Two busy processes that end within the wall clock but use more CPU than allowed are over the time limit."""
    program = (
        "import os, time\nos.fork()\nt = time.process_time()\nwhile time.process_time() - t < 0.8: pass\n"
        "try: os.wait()\nexcept ChildProcessError: os._exit(0)\nprint(14)"
    )
    suite = TestSuite(tests=(StdinTest(input="", output="14"),))
    limits = Limits(timeout_seconds=1.4, memory_mib=256)
    result = await grade(suite, program, limits)
    assert result.verdict is Verdict.TIME_LIMIT, result


@pytest.mark.parametrize("kind", ["stdin", "function", "assertion"])
async def test_a_problems_own_time_limit_stands_in_place_of_the_callers(grade, kind):
    """One that is longer lets a slow program pass, one that is shorter ends it."""
    tests = {
        "stdin": StdinTest(input="7\n", output="14\n"),
        "function": FunctionTest(arguments=[7], expected=14),
        "assertion": AssertionTest(code="def check(f): assert f(7) == 14"),
    }
    program = (
        "import time\ndef f(n):\n    time.sleep(2.5)\n    return 2 * n\n"
        "if __name__ == '__main__': print(f(int(input())))"
    )
    suite = TestSuite(entry_point="f", tests=(tests[kind],))
    long, short = (suite.model_copy(update={"timeout_seconds": seconds}) for seconds in (20.0, 1.0))
    assert (await grade(long, program, Limits(timeout_seconds=1))).accepted
    result = await grade(short, program, Limits(timeout_seconds=20))
    assert result.verdict is Verdict.TIME_LIMIT
    assert "more than 1 s" in result.detail


async def test_tests_of_several_kinds_may_alternate(grade):
    """Each has the process that it needs, whatever the one before it was."""
    call, check = FunctionTest(arguments=[3], expected=6), AssertionTest(code="def check(f): assert f(4) == 8")
    printed = StdinTest(input="5\n", output="10\n")
    suite = TestSuite(entry_point="f", tests=(call, printed, call, check, printed, printed, check, call))
    program = "def f(n): return 2 * n\nif __name__ == '__main__': print(f(int(input())))"
    result = await grade(suite, program)
    assert result.accepted, result
    assert all(test.memory_mib > 1 for test in result.tests)
