"""The profile `strict`, ours and the default.

Standard output is compared line by line: white space at the end of each line and empty lines at the end of the text
do not count, everything else does. Returned values are compared as JSON values: a tuple counts as a list, a bool is
never a number, an int equals a float only when both are the same number, and nothing is rounded.
"""

from __future__ import annotations

import math
from typing import Any

from deepcoder_sandbox.comparators.rules import Near, Rules, exact
from deepcoder_sandbox.comparators.values import nested_equal


def stdout_matches(expected: str, actual: str) -> bool:
    """Whether `actual` is `expected`, but for white space at line ends and empty lines at the end."""
    return lines(expected) == lines(actual)


def values_equal(expected: Any, actual: Any, near: Near = exact) -> bool:
    """Whether two plain values are the same JSON value."""
    return nested_equal(
        expected, actual, lambda left, right: _scalars_equal(left, right) or near(left, right), tuples_are_lists=True
    )


def lines(text: str) -> list[str]:
    """The lines that count, without the white space at their ends."""
    found = [line.rstrip() for line in text.split("\n")]
    while found and not found[-1]:
        found.pop()
    return found


def _scalars_equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right and not (math.isnan(left) if isinstance(left, float) else False)
    return type(left) is type(right) and isinstance(left, str | None) and left == right


RULES = Rules(stdout_matches, values_equal)
