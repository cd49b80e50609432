"""What counts as the same output and the same value under the strict profile."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings

from deepcoder_sandbox.comparators.strict import stdout_matches, values_equal
from tests.comparison_values import returned_values, texts

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


@pytest.mark.parametrize(("expected", "actual"), OTHER_OUTPUT)
def test_output_differs(expected, actual):
    """Everything else counts."""
    assert not stdout_matches(expected, actual)


@pytest.mark.parametrize(("expected", "actual"), SAME_VALUE)
def test_values_are_equal(expected, actual):
    """A tuple counts as a list, an int as the float that is the same number."""
    assert values_equal(expected, actual)


@pytest.mark.parametrize(("expected", "actual"), OTHER_VALUE)
def test_values_differ(expected, actual):
    """A bool is no number, nothing is rounded, and what JSON has no word for equals nothing."""
    assert not values_equal(expected, actual)


def test_depth_is_no_danger():
    """Values nested far deeper than the stack are compared."""
    left, right = [], []
    for _ in range(20_000):
        left, right = [left], [right]
    assert values_equal(left, right)
    assert not values_equal([left], right)


def without_ends(text):
    """`text` without white space at line ends and lines at its end, by pattern."""
    return re.sub(r"\s+\Z", "", re.sub(r"[^\S\n]+(?=\n)", "", text))


def canonical(value):
    """A JSON value in a form that is equal for equal values only; anything else is like nothing."""
    match value:
        case bool() | None | str():
            return (type(value).__name__, value)
        case int():
            return ("number", Fraction(value))
        case float() if math.isfinite(value):
            return ("number", Fraction(value))
        case float() if math.isinf(value):
            return ("infinity", value > 0)
        case list() | tuple():
            return ("array", *map(canonical, value))
        case dict():
            return ("object", frozenset((key, canonical(item)) for key, item in value.items()))
    return object()


@given(texts, texts)
@settings(deadline=None)
def test_rule_for_output(expected, actual):
    """Two texts match exactly when they are the same without white space at line ends and without lines at the end."""
    assert stdout_matches(expected, actual) == (without_ends(expected) == without_ends(actual))


@given(returned_values, returned_values)
@settings(deadline=None)
def test_rule_for_values(expected, actual):
    """Two values are equal exactly when they are one JSON value, numbers by what they are and bools apart."""
    assert values_equal(expected, actual) == (canonical(expected) == canonical(actual))
