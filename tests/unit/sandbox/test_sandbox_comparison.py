"""What counts as the same output and the same value under the strict profile."""

from __future__ import annotations

import math

import pytest

from deepcoder_sandbox.comparison import json_equal, shorten, stdout_difference, stdout_matches

SAME_OUTPUT = [
    ("1\n2\n", "1\n2\n"),
    ("1\n2\n", "1\n2"),
    ("1\n2", "1  \n2\t\n\n\n"),
    ("1\r\n2\r\n", "1\n2\n"),
    ("", "\n \n"),
    ("  a b", "  a b"),
]
OTHER_OUTPUT = [
    ("1\n2\n", "1 2\n"),
    ("1\n2\n", "1\n\n2\n"),
    ("a b", "a  b"),
    ("a", " a"),
    ("a", "A"),
    ("1", "1.0"),
    ("0.1", "0.10"),
    ("1", ""),
    ("", "0"),
    ("1", "1\0"),
    ("\u00e9", "e\u0301"),
    ("1\n2", "1\v2"),
]
SAME_VALUE = [
    (1, 1),
    (1, 1.0),
    (0.0, -0.0),
    (10**30, 10**30),
    ("a", "a"),
    (None, None),
    (True, True),
    ([1, [2, "x"]], (1, (2, "x"))),
    ({"a": [1], "b": None}, {"b": None, "a": (1,)}),
    (math.inf, math.inf),
]
OTHER_VALUE = [
    (1, True),
    (False, 0),
    (1, "1"),
    (0.1 + 0.2, 0.3),
    (2**53, float(2**53) + 2),
    (None, False),
    (None, 0),
    ([], None),
    ([1], [1, 1]),
    ([1, 2], {1, 2}),
    ({"1": 2}, {1: 2}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({}, []),
    ("a", b"a"),
    (math.nan, math.nan),
    (1, 1 + 0j),
    (10**400, math.inf),
]


@pytest.mark.parametrize(("expected", "actual"), SAME_OUTPUT)
def test_output_matches(expected, actual):
    """White space at line ends and empty lines at the end do not count."""
    assert stdout_matches(expected, actual)
    assert stdout_difference(expected, actual) == ""


@pytest.mark.parametrize(("expected", "actual"), OTHER_OUTPUT)
def test_output_differs(expected, actual):
    """Everything else counts, and the difference is told."""
    assert not stdout_matches(expected, actual)
    assert stdout_difference(expected, actual)


def test_difference_names_the_first_line_that_differs():
    """People see the line, what was expected and what came, each of bounded length."""
    assert stdout_difference("1\n2\n3", "1\nx\ny") == "line 2: expected '2', got 'x'"
    assert stdout_difference("1\n2", "1") == "expected 2 lines, got 1"
    assert len(stdout_difference("a" * 10**6, "b" * 10**6)) < 200


@pytest.mark.parametrize(("expected", "actual"), SAME_VALUE)
def test_values_are_equal(expected, actual):
    """A tuple counts as a list, an int as the float that is the same number."""
    assert json_equal(expected, actual)


@pytest.mark.parametrize(("expected", "actual"), OTHER_VALUE)
def test_values_differ(expected, actual):
    """A bool is no number, nothing is rounded, and what JSON has no word for equals nothing."""
    assert not json_equal(expected, actual)


def test_depth_is_no_danger():
    """Values nested far deeper than the stack are compared."""
    left, right = [], []
    for _ in range(20_000):
        left, right = [left], [right]
    assert json_equal(left, right)
    assert not json_equal([left], right)


def test_shortened_value_fits_into_a_line():
    """A long value is cut, and the cut shows."""
    assert shorten(list(range(1000))).endswith("…")
    assert len(shorten("x" * 1000)) == 60
    assert shorten([1]) == "[1]"
