"""Whether what a program gave is what a test expects, under the `strict` profile. Pure functions, no I/O.

Strict compares standard output line by line: white space at the end of each line and empty lines at the end of the
text do not count, everything else does. It compares returned values as JSON values: a tuple counts as a list, a
bool is never a number, an int equals a float only when both are the same number, and nothing is rounded.
"""

from __future__ import annotations

import math
from typing import Any

DETAIL_CHARACTERS = 60


def stdout_matches(expected: str, actual: str) -> bool:
    """Whether `actual` is `expected`, but for white space at line ends and empty lines at the end."""
    return _lines(expected) == _lines(actual)


def json_equal(expected: Any, actual: Any) -> bool:
    """Whether two plain values are the same JSON value. Never recurses, so depth is no danger."""
    pending = [(expected, actual)]
    while pending:
        left, right = pending.pop()
        if isinstance(left, list | tuple):
            if not isinstance(right, list | tuple) or len(left) != len(right):
                return False
            pending.extend(zip(left, right, strict=True))
        elif isinstance(left, dict):
            if not isinstance(right, dict) or left.keys() != right.keys():
                return False
            pending.extend((value, right[key]) for key, value in left.items())
        elif not _scalars_equal(left, right):
            return False
    return True


def stdout_difference(expected: str, actual: str) -> str:
    """One line for people: where two outputs first differ. Empty when they match."""
    left, right = _lines(expected), _lines(actual)
    for number, (want, got) in enumerate(zip(left, right, strict=False), start=1):
        if want != got:
            return f"line {number}: expected {shorten(want)}, got {shorten(got)}"
    if len(left) != len(right):
        return f"expected {len(left)} lines, got {len(right)}"
    return ""


def shorten(value: object) -> str:
    """`repr(value)`, cut to a length that fits into one line of a report."""
    text = repr(value)
    return text if len(text) <= DETAIL_CHARACTERS else f"{text[: DETAIL_CHARACTERS - 1]}…"


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _scalars_equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right and not (math.isnan(left) if isinstance(left, float) else False)
    return type(left) is type(right) and isinstance(left, str | None) and left == right
