"""Tests that share a process get the verdicts that they would get alone."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from deepcoder_api.grading import Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite

INPUTS = ("3\n", "0\n", "17\n", "3\n", "250\n")
# Each leaves something in its interpreter that its next run would see, were it not put back.
PROGRAMS = {
    "names of the run before": "try: kept\nexcept NameError: kept = int(input())\nelse: kept = -1\nprint(kept)",
    "recursion limit": (
        "import sys\nn = int(input())\nprint(sys.getrecursionlimit() < 10**5)\nsys.setrecursionlimit(10**5)\n"
        "def f(k): return k and 1 + f(k - 1)\nprint(f(n * 20))"
    ),
    "digits of integers": "import sys\nn = int(input())\ntry: print(len(str(10**5000)))\nexcept ValueError: print('no')\n"
    "sys.set_int_max_str_digits(0)",
    "replaced streams": "import io, sys\nn = int(input())\nprint(n)\nsys.stdout.flush()\nsys.stdout = io.StringIO()\n"
    "sys.stdin = io.StringIO('9\\n9\\n')\nprint('lost')",
    "closed streams": "import sys\nprint(int(input()))\nsys.stdin.close()\nsys.stdout.flush()\nsys.stdout.close()",
    "unread input": "print(input()[0])",
    "decimal's context": "from decimal import Decimal, getcontext\nprint(Decimal(1) / 3)\ngetcontext().prec = 5\nprint(int(input()))",
    "collector": "import gc\nn = int(input())\ngc.disable()\nprint(n)",
    "seeded random numbers": "import random\nrandom.seed(int(input()))\nprint(random.random(), random.randint(1, 9))",
    "half a line of output": "import sys\nsys.stdout.write(input())",
    "exit": "import sys\nn = int(input())\nprint(n)\nsys.exit(0 if n != 17 else 3)",
    "exit by text": "n = int(input())\nprint(n)\nif n == 17: raise SystemExit('no')",
    "an error": "n = int(input())\nprint(10 // n)",
    "a deep error": "def f(n): return 1 + f(n + 1)\nn = int(input())\nprint(f(0) if n == 17 else n)",
    "memory": "n = int(input())\nx = bytearray(n << 20)\nprint(len(x))",
    "too much memory": "n = int(input())\nx = bytearray(n << 21)\nprint(len(x))",
    "too much output": "n = int(input())\nprint('y' * n * 2**13)",
    "an endless loop": "n = int(input())\nwhile n == 17: pass\nprint(n)",
    "text": "print('ß→😀', input())",
    "carriage returns": "import sys\nprint(repr(sys.stdin.read()), repr('a'))",
    "numpy": "import numpy as np\nn = int(input())\nprint(np.arange(n).sum(), np.zeros(2))",
    "the streams themselves": (
        "import sys\nprint([(s.mode, s.name, s.encoding, s.errors, s.newlines, s.line_buffering, s.buffer.raw.mode,"
        " s.fileno(), s.seekable(), s.buffer.seekable()) for s in (sys.stdin, sys.stdout)], sys.stdin.isatty())\nprint(input())"
    ),
    "garbage that speaks": "def g():\n    try:\n        yield\n    finally:\n        print('end')\nx = [g()]\nnext(x[0])\nx.append(x)\nprint(input())",
    "a second standard output": "n = input()\nout = open(1, 'w')\nout.write(n + '\\n')\nout.flush()",
    "descriptors": "import os\nprint(os.read(0, 9))\nos.write(1, b'direct\\n')",
    "a generator left half way": "def g():\n    try:\n        yield 1\n    finally:\n        print('end')\nh = g()\nnext(h)\nprint(input())",
}
LIMITS = Limits(timeout_seconds=3, memory_mib=300, output_mib=1)


@pytest.mark.parametrize("name", PROGRAMS)
async def test_tests_in_one_process_go_as_they_would_alone(grade, name):
    """One suite of five tests and five suites of one: the same verdicts and words, and those of Python itself."""
    program = PROGRAMS[name]
    outputs = [_python(program, text) for text in INPUTS]
    tests = tuple(StdinTest(input=text, output=output or "") for text, output in zip(INPUTS, outputs, strict=True))
    together = (await grade(TestSuite(tests=tests), program, LIMITS, stop_on_first_failure=False)).tests
    alone = [(await grade(TestSuite(tests=(test,)), program, LIMITS)).tests[0] for test in tests]
    assert [(one.verdict, one.detail) for one in together] == [(one.verdict, one.detail) for one in alone]
    if not name.startswith("too much"):
        assert [one.verdict is Verdict.ACCEPTED for one in together] == [output is not None for output in outputs]


async def test_large_inputs_come_in_their_turn(grade):
    """Between small ones that were sent ahead: each test gets its own, whole."""
    program = "import sys\ntext = sys.stdin.read()\nprint(len(text), text[:9], text[-9:])"
    inputs = [f"{n:09}" + "x" * size + f"{n:09}" for n, size in enumerate([0, 9, 40_000, 500_000, 1, 2, 300_000] * 4)]
    tests = tuple(StdinTest(input=text, output=f"{len(text)} {text[:9]} {text[-9:]}\n") for text in inputs)
    result = await grade(TestSuite(tests=tests), program, LIMITS)
    assert result.verdict is Verdict.ACCEPTED, result.detail
    assert len(result.tests) == len(inputs)


async def test_time_of_a_test_is_its_own(grade):
    """Not what passed before it was its turn, nor nothing because its answer was there when the grader looked."""
    program = "import time\nn = int(input())\ntime.sleep(0.3 if n == 2 else 0)\nprint(n)"
    tests = tuple(StdinTest(input=f"{n}\n", output=f"{n}\n") for n in range(5))
    seconds = [test.wall_seconds for test in (await grade(TestSuite(tests=tests), program, LIMITS)).tests]
    assert 0.3 <= seconds[2] < 2
    assert all(0 < one < 0.3 for one in seconds[3:])


def _python(program: str, text: str) -> str | None:
    """What an interpreter of its own prints for `text`; None when it does not end well within a second."""
    command = [sys.executable, "-X", "utf8", "-I", "-c", program]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", timeout=1, check=False)
        return done.stdout if done.returncode == 0 else None
    return None
