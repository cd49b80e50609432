"""What is graded: programs as contests see them, right and wrong, each with its tests. Pure; a seed fixes all of it."""

from __future__ import annotations

import inspect
import math
import random
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.sandbox.numpy_tasks import NUMPY
from benchmarks.sandbox.plain_tasks import PLAIN
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import FunctionTest, StdinTest, TestSuite

Kind = Literal["stdin", "call"]
TESTS = (1, 10, 100)
# For a test, in every way: so long that a busy machine does not turn a right program into a slow one.
TIMEOUT_SECONDS = 60
PLAIN_HEADER = """\
import heapq
import sys
from bisect import bisect_left
from collections import defaultdict, deque
"""
NUMPY_HEADER = """\
import sys
import numpy as np
"""
FAST_INPUT = "input = sys.stdin.readline\n"
WRONG = {int: "answer += 1", list: "answer += [0]", str: "answer += '!'"}
CRASH = "answer = [][n]"


@dataclass(frozen=True, order=True)
class Cell:
    """Programs of one sort: how they are run, on how many tests, and whether they import numpy."""

    kind: Kind
    tests: int
    numpy: bool

    @property
    def name(self) -> str:
        """As it stands in reports: stdin-10-plain."""
        return f"{self.kind}-{self.tests}-{'numpy' if self.numpy else 'plain'}"


CELLS = tuple(Cell(kind, tests, numpy) for kind in ("stdin", "call") for tests in TESTS for numpy in (False, True))


@dataclass(frozen=True)
class Outcome:
    """What a way of grading must say of a program: its verdict, and after how many tests it is known."""

    verdict: str
    tests_run: int


@dataclass(frozen=True)
class Submission:
    """A program to be graded, and the outcome that every way must come to."""

    id: str
    cell: Cell
    program: str
    suite: TestSuite
    outcome: Outcome

    def job(self) -> dict[str, Any]:
        """What the other ways are given, as JSON: stdin and stdout, or arguments and the value, of each test."""
        tests = [
            {"input": test.input, "output": test.output}
            if isinstance(test, StdinTest)
            else {"arguments": test.arguments, "expected": test.expected}
            for test in self.suite.tests
            if isinstance(test, StdinTest | FunctionTest)
        ]
        return {"program": self.program, "entry_point": self.suite.entry_point, "tests": tests}


@dataclass(frozen=True)
class Task:
    """A contest problem: a solution, the range of test sizes, and what makes the arguments after the size."""

    solution: Callable[..., Any]
    smallest: int
    largest: int
    more: Callable[[random.Random, int], list[Any]]
    numpy: bool

    @property
    def name(self) -> str:
        """The solution's own."""
        return self.solution.__name__


TASKS = tuple(Task(*row, numpy) for rows, numpy in ((PLAIN, False), (NUMPY, True)) for row in rows)


def make_workload(programs: int, seed: int = 0) -> dict[Cell, list[Submission]]:
    """For each cell its submissions: `programs` with one test, half as many with 10, a quarter with 100, at least 2.

    A quarter of them fails, at a random test: three in four of those by a wrong answer, the others by an exception.
    """
    counts = {tests: max(2, programs // divisor) for tests, divisor in zip(TESTS, (1, 2, 4), strict=True)}
    return {cell: [make_submission(cell, i, seed) for i in range(counts[cell.tests])] for cell in CELLS}


def make_submission(cell: Cell, index: int, seed: int = 0) -> Submission:
    """Submission `index` of a cell. Every fourth, from the second on, is wrong."""
    tasks = [task for task in TASKS if task.numpy == cell.numpy]
    task = tasks[(index + 3 * cell.tests) % len(tasks)]
    chance = random.Random(f"{seed} {cell.name} {index}")
    arguments = [[n, *task.more(chance, n)] for n in _sizes(task, cell.tests, chance)]
    expected = [task.solution(*given) for given in arguments]
    fault, outcome = "", Outcome(Verdict.ACCEPTED.value, cell.tests)
    if index % 4 == 1:
        at = chance.randrange(cell.tests)
        crashes = index % 16 == 13
        fault = f"if n == {arguments[at][0]}:\n    {CRASH if crashes else WRONG[type(expected[0])]}"
        verdict = Verdict.RUNTIME_ERROR if crashes else Verdict.WRONG_ANSWER
        outcome = Outcome(verdict.value, at + 1)
    return Submission(
        id=f"{cell.name}-{index}-{task.name}",
        cell=cell,
        program=_program(task, cell, index, fault, arguments[0], expected[0]),
        suite=_suite(task, cell, index, arguments, expected),
        outcome=outcome,
    )


def _sizes(task: Task, tests: int, chance: random.Random) -> list[int]:
    """Sizes of a problem's tests, all different, small ones more often: even on a logarithmic scale."""
    sizes: list[int] = []
    low, high = math.log(task.smallest), math.log(task.largest)
    while len(sizes) < tests:
        size = round(math.exp(chance.uniform(low, high)))
        while size in sizes:
            size = size + 1 if size < task.largest else task.smallest
        sizes.append(size)
    return sizes


def _suite(task: Task, cell: Cell, index: int, arguments: Sequence[list[Any]], expected: Sequence[Any]) -> TestSuite:
    pairs = zip(arguments, expected, strict=True)
    if cell.kind == "stdin":
        return TestSuite(tests=tuple(StdinTest(input=_lines(given), output=_printed(value)) for given, value in pairs))
    entry_point = f"Solution.{task.name}" if _in_class(index) else task.name
    tests = tuple(FunctionTest(arguments=given, expected=value) for given, value in pairs)
    return TestSuite(entry_point=entry_point, tests=tests)


def _program(task: Task, cell: Cell, index: int, fault: str, arguments: list[Any], value: Any) -> str:
    """The text of a program: imports, the solution with its fault, and for standard input what reads and prints."""
    source = textwrap.dedent(inspect.getsource(task.solution))
    if fault:
        source = source.replace("    return answer\n", textwrap.indent(fault, "    ") + "\n    return answer\n")
    header = NUMPY_HEADER if cell.numpy else PLAIN_HEADER
    if cell.kind == "call":
        if _in_class(index):
            source = "class Solution:\n" + textwrap.indent(source.replace("(n: int", "(self, n: int", 1), "    ")
        return f"{header}\n\n{source}"
    reading = [f"x{place} = {_reader(given)}" for place, given in enumerate(arguments)]
    call = f"{task.name}({', '.join(f'x{place}' for place in range(len(arguments)))})"
    main = [*reading, f"print(*{call})" if isinstance(value, list) else f"print({call})"]
    if index % 3 == 2:
        body = textwrap.indent("\n".join(main), "    ")
        return f"{header}\n\n{source}\n\nif __name__ == '__main__':\n{body}\n"
    return f"{header}{FAST_INPUT if index % 2 else ''}\n\n{source}\n\n" + "\n".join(main) + "\n"


def _in_class(index: int) -> bool:
    """Half of the called programs are methods of a class, as on LeetCode."""
    return index % 2 == 0


def _reader(value: Any) -> str:
    if isinstance(value, int):
        return "int(input())"
    if isinstance(value, str):
        return "input().strip()"
    if value and isinstance(value[0], int):
        return "list(map(int, input().split()))"
    each = "input().strip()" if value and isinstance(value[0], str) else "list(map(int, input().split()))"
    return f"[{each} for _ in range(int(input()))]"


def _lines(arguments: Sequence[Any]) -> str:
    """Arguments as standard input: a line each, a list of lists or texts as its length and a line each."""
    lines: list[str] = []
    for value in arguments:
        if not isinstance(value, list):
            lines.append(str(value))
        elif value and isinstance(value[0], int):
            lines.append(_printed(value).rstrip())
        else:
            rows = [row if isinstance(row, str) else _printed(row).rstrip() for row in value]
            lines += [str(len(rows)), *rows]
    return "".join(f"{line}\n" for line in lines)


def _printed(value: Any) -> str:
    return " ".join(map(str, value)) + "\n" if isinstance(value, list) else f"{value}\n"
