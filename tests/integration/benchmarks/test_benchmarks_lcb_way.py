"""LiveCodeBench's way gives the verdicts that its source gives: stated by hand from reading it, quirks included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.sandbox.lcb_grading import as_function, outputs_equal, without_main_guard
from benchmarks.sandbox.lcb_way import check, outcome, sample_of
from benchmarks.sandbox.workload import CELLS, Cell, Outcome, make_submission

DOUBLE_INPUTS = ["2\n", "5\n"]
DOUBLE_OUTPUTS = ["4\n", "10\n"]
STDIN_CASES: list[tuple[str, str, list[Any]]] = [
    ("right", "print(2 * int(input()))", [True, True]),
    (
        "right with a main guard",
        "def main():\n    print(2 * int(input()))\nif __name__ == '__main__':\n    main()",
        [True] * 2,
    ),
    ("a guard in other words is not run", "if '__main__' == __name__:\n    print(2 * int(input()))", [-2]),
    ("right to its end by exit()", "print(2 * int(input()))\nexit()", [True, True]),
    ("reads all of stdin", "import sys\nprint(2 * int(sys.stdin.read()))", [True, True]),
    ("reads lines of stdin", "import sys\nprint(2 * int(sys.stdin.readline()))", [True, True]),
    ("stdin cannot be looped over", "import sys\nfor line in sys.stdin:\n    print(2 * int(line))", [-4]),
    ("numbers are compared as decimals", "print(float(2 * int(input())))", [True, True]),
    ("white space at both ends of lines does not count", "print(' ', 2 * int(input()), ' ')", [True, True]),
    ("the first wrong answer is the last", "print(4)", [True, -2]),
    ("a line too many", "print(2 * int(input()))\nprint()\nprint(1)", [-2]),
    ("a text for a number", "print('four')", [-2]),
    ("an exception", "print(1 // 0)", [-4]),
    ("what is printed before an exception does not help", "print(2 * int(input()))\nprint(1 // 0)", [-4]),
    ("no syntax", "print(", [-4]),
    ("reads bytes", "import sys\nprint(2 * int(sys.stdin.buffer.read()))", [True, True]),
    ("reads a line of bytes", "import sys\nprint(2 * int(sys.stdin.buffer.readline()))", [True, True]),
    ("input() does not see what was read", "import sys\nsys.stdin.read()\nprint(2 * int(input()))", [True, True]),
    ("open(0) is not what the tests say", "print(2 * int(open(0).read()))", [-4]),
    ("os.kill is taken away", "import os\nos.kill(os.getpid(), 9)", [-4]),
    ("ends its process: fails its first test", "import os\nos._exit(0)", [-2]),
    ("too slow", "while True:\n    pass", [-3]),
]
CALL_CASES: list[tuple[str, str, list[Any]]] = [
    ("a function", "def pair(a, b):\n    return [a, b]", [True, True]),
    ("a method of Solution", "class Solution:\n    def pair(self, a, b):\n        return [a, b]", [True, True]),
    ("a tuple counts as a list", "def pair(a, b):\n    return a, b", [True, True]),
    ("equal by value, not by type", "def pair(a, b):\n    return [float(a), b]", [True, True]),
    ("the header's imports are there", "def pair(a: List[int], b):\n    return [gcd(a, a), b]", [True, True]),
    ("wrong in the second", "def pair(a, b):\n    return [1, 2]", [True, False]),
    ("an exception", "def pair(a, b):\n    raise ValueError", [-4]),
    ("no such function", "def other(a, b):\n    return [a, b]", [-4]),
    ("too slow", "def pair(a, b):\n    while True:\n        pass", [-3]),
    ("ends its process: fails its first test", "def pair(a, b):\n    exit()", [-2]),
]


@pytest.mark.parametrize("lean", [False, True], ids=["as published", "lean"])
@pytest.mark.parametrize(("program", "results"), [case[1:] for case in STDIN_CASES], ids=[c[0] for c in STDIN_CASES])
def test_standard_input(program: str, results: list[Any], lean: bool) -> None:
    """Results of two tests, the first not passed being the last."""
    given = json.dumps({"inputs": DOUBLE_INPUTS, "outputs": DOUBLE_OUTPUTS})
    assert check(program, given, lean, timeout=1) == results


@pytest.mark.parametrize(("program", "results"), [case[1:] for case in CALL_CASES], ids=[c[0] for c in CALL_CASES])
def test_function_calls(program: str, results: list[Any]) -> None:
    """Arguments are a JSON value per line."""
    given = json.dumps({"inputs": ["1\n2", "3\n4"], "outputs": ["[1, 2]", "[3, 4]"], "fn_name": "pair"})
    assert check(program, given, timeout=1) == results


def test_a_list_printed_in_several_lines_is_compared_line_by_line() -> None:
    """Words of a line are decimals or the line is wrong."""
    assert outputs_equal("1 2.0\n3\n", "1 2\n3")
    assert not outputs_equal("1 2 3", "1 2\n3")
    assert not outputs_equal("a 1", "a 1.0")


def test_an_answer_becomes_a_function_below_its_imports() -> None:
    """So that it can be called per test."""
    text = as_function(without_main_guard("import os\nx = 1\nif __name__ == '__main__':\n    print(x)"))
    assert text.replace("\n\n", "\n").endswith("import os\ndef wrapped_function():\n    x = 1\n    print(x)")


@pytest.mark.parametrize("results", [[True, True], [True, -2], [False], [-4], [-3]])
def test_results_in_our_words(results: list[Any]) -> None:
    """A verdict, and after how many tests it was known."""
    verdicts = {-2: "wrong_answer", False: "wrong_answer", -4: "runtime_error", -3: "time_limit", True: "accepted"}
    assert outcome(results) == (verdicts[results[-1]], len(results))


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.tests == 1], ids=lambda cell: cell.name)
def test_workload_comes_to_the_outcomes_it_states(cell: Cell) -> None:
    """A right and a wrong program of each sort."""
    for index in (0, 1):
        submission = make_submission(cell, index)
        assert Outcome(*outcome(check(*sample_of(submission.job())))) == submission.outcome
