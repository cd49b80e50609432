"""What people are told of two outputs that differ: one line."""

from __future__ import annotations

from collections.abc import Callable

from deepcoder_sandbox.comparators.strict import lines

DETAIL_CHARACTERS = 60


def stdout_difference(matches: Callable[[str, str], bool], expected: str, actual: str) -> str:
    """Where two outputs first differ by a profile's rule. Empty when they match."""
    if matches(expected, actual):
        return ""
    left, right = lines(expected), lines(actual)
    for number, (want, got) in enumerate(zip(left, right, strict=False), start=1):
        if not matches(want, got):
            return f"line {number}: expected {shorten(want)}, got {shorten(got)}"
    if len(left) != len(right):
        return f"expected {len(left)} lines, got {len(right)}"
    return "the outputs differ, though no line does"


def shorten(value: object) -> str:
    """`repr(value)`, cut to a length that fits into one line of a report."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python shows
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= DETAIL_CHARACTERS else f"{text[: DETAIL_CHARACTERS - 1]}…"
