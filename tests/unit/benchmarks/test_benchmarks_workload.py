"""The graded programs: the same every time, of every kind, right where they are said to be and wrong where not."""

from __future__ import annotations

import pytest

from benchmarks.sandbox.in_process import run_job
from benchmarks.sandbox.workload import CELLS, TASKS, Cell, Outcome, make_submission, make_workload
from deepcoder_api.problems import StdinTest


def test_same_seed_makes_the_same_programs_and_tests() -> None:
    """Two runs of the benchmark grade the same."""
    assert make_workload(2, seed=3) == make_workload(2, seed=3)
    assert make_submission(CELLS[0], 0, seed=3) != make_submission(CELLS[0], 0, seed=4)


def test_counts_of_programs_shrink_with_their_tests() -> None:
    """A cell with many tests has few programs, but never fewer than two, so that one of them fails."""
    workload = make_workload(6)
    assert {cell.tests: len(programs) for cell, programs in workload.items()} == {1: 6, 10: 3, 100: 2}
    for cell, programs in workload.items():
        assert all(len(one.suite.tests) == cell.tests for one in programs)
        assert sum(one.outcome.verdict != "accepted" for one in programs) == 1 + (len(programs) > 5)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.tests == 10], ids=lambda cell: cell.name)
def test_programs_are_right_and_wrong_where_stated(cell: Cell) -> None:
    """Every task's program, run in this process, comes to the outcome that the workload states."""
    for index in range(len([task for task in TASKS if task.numpy == cell.numpy])):
        submission = make_submission(cell, index)
        assert Outcome(*run_job(submission.job())) == submission.outcome, submission.id


def test_a_program_that_crashes_is_among_sixteen() -> None:
    """Not all failures are wrong answers."""
    verdicts = [make_submission(CELLS[0], index).outcome.verdict for index in range(16)]
    assert verdicts.count("wrong_answer") == 3
    assert verdicts.count("runtime_error") == 1


def test_known_answers_of_the_solutions() -> None:
    """The reference solutions, by hand."""
    solve = {task.name: task.solution for task in TASKS}
    assert solve["rank_scores"](4, [30, 10, 30, 20]) == [1, 3, 1, 2]
    assert solve["count_primes"](30) == 10
    assert solve["longest_common_subsequence"](4, "abcd", "acbd") == 3
    assert solve["shortest_way"](2, [".#.", "..."]) == 3
    assert solve["most_meetings"](3, [[0, 5], [1, 2], [2, 4]]) == 2
    assert solve["knapsack"](3, 5, [[2, 3], [3, 4], [4, 6]]) == 7
    assert solve["cheapest_routes"](3, [[0, 1, 5], [1, 2, 1], [0, 2, 9]]) == [0, 5, 6]
    assert solve["longest_palindrome"](5, "xabba") == 4
    assert solve["ways_to_change"](5, [1, 2, 5]) == 4
    assert solve["balance_brackets"](4, ")(a)") == "(a)"
    assert solve["order_of_courses"](3, [[2, 0], [0, 1]]) == [2, 0, 1]
    assert solve["primes_in_range"](30, 10) == 6
    assert solve["best_subarray"](4, [3, -5, 4, 2]) == 6
    assert solve["close_pairs"](3, 5, [[0, 0], [3, 4], [9, 9]]) == 1
    assert solve["game_of_life"](3, 1, [".#.", ".#.", ".#."]) == 3
    assert solve["product_of_polynomials"](2, [1, 1], [1, -1]) == [1, 0, -1]


def test_standard_input_is_a_line_per_argument() -> None:
    """As contests write it: the size first, rows after their number."""
    submission = make_submission(Cell("stdin", 1, False), 5)
    test = submission.suite.tests[0]
    assert isinstance(test, StdinTest)
    lines = test.input.splitlines()
    assert lines[0].isdigit()
    assert int(lines[1]) == len(lines) - 2
