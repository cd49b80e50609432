"""The profile `lcb-v5`: LiveCodeBench's own comparison, as its numbers at release v5 were made.

Source: github.com/LiveCodeBench/LiveCodeBench, lcb_runner/evaluation/testing_util.py, `grade_stdio` and
`grade_call_based`; both compare alike from 5f46490 (January 2025, the release v5) to 28fef95. rLLM holds a copy, which
graded the LiveCodeBench rows that DeepCoder was trained on.

Standard output: white space around the whole text and around each line does not count; then there are equally many
lines, each the same text or the same decimal numbers at the same places. No tolerance: 1.0 is 1 and 1e3 is 1000, but
0.333 is not 0.3333, and a line that holds any word must be the same text.
Returned values: Python's `==`, a tuple counting as a list at the top only. So True is 1, and [(1, 2)] is not [[1, 2]].
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from deepcoder_sandbox.comparators.rules import Near, Rules, exact
from deepcoder_sandbox.comparators.values import python_equal


def stdout_matches(expected: str, actual: str) -> bool:
    """Whether the lines of both texts are, in order, the same text or the same decimal numbers."""
    wanted, given = expected.strip().split("\n"), actual.strip().split("\n")
    return len(wanted) == len(given) and all(map(_lines_match, wanted, given))


def values_equal(expected: Any, actual: Any, near: Near = exact) -> bool:
    """Whether Python finds them equal, once a tuple at the top is a list."""
    return python_equal(expected, list(actual) if isinstance(actual, tuple) else actual, near)


def _lines_match(expected: str, actual: str) -> bool:
    if expected.strip() == actual.strip():
        return True
    try:
        return list(map(Decimal, expected.split())) == list(map(Decimal, actual.split()))
    except InvalidOperation:  # a word that is no number, or a signalling NaN, which nothing can be compared with
        return False


RULES = Rules(stdout_matches, values_equal)
