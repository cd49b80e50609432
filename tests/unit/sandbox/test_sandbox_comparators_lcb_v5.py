"""LiveCodeBench's rule, said once more in another way: by patterns, fractions and canonical forms."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings

from deepcoder_sandbox.comparators import lcb_v5, rllm_main
from deepcoder_sandbox.comparators.lcb_v5 import stdout_matches, values_equal
from tests.comparison_values import json_values, returned_values, texts

NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?")


def line_form(line: str) -> object:
    """A line of numbers as their exact values, any other as its text."""
    words = re.findall(r"\S+", line)
    if words and all(NUMBER.fullmatch(word) for word in words):
        return tuple(map(Fraction, words))
    return re.sub(r"^\s+|\s+$", "", line)


def text_form(text: str) -> list[object]:
    """Its lines, from the first that holds something to the last."""
    return [line_form(line) for line in re.split("\n", re.sub(r"\A\s+|\s+\Z", "", text))]


def python_form(value: object) -> object:
    """A value in a form that is equal where Python finds values equal: bools are numbers, tuples are no lists."""
    match value:
        case bool() | int():
            return ("number", Fraction(value))
        case float() if math.isfinite(value):
            return ("number", Fraction(value))
        case float() if math.isinf(value):
            return ("infinity", value > 0)
        case float():
            return object()
        case list() | tuple():
            return (type(value).__name__, *map(python_form, value))
        case dict():
            return ("dict", frozenset((python_form(key), python_form(item)) for key, item in value.items()))
    return (type(value).__name__, value)


@given(texts, texts)
@settings(deadline=None)
def test_rule_for_output(expected, actual):
    """Two texts match exactly when their lines do: numbers by value, all else by its text without its ends."""
    assert stdout_matches(expected, actual) == (text_form(expected) == text_form(actual))


@given(json_values, returned_values)
@settings(deadline=None)
def test_rule_for_values(expected, actual):
    """Two values are equal exactly when Python says so, a tuple being a list at the top only."""
    returned = list(actual) if isinstance(actual, tuple) else actual
    assert values_equal(expected, actual) == (python_form(expected) == python_form(returned))


@pytest.mark.parametrize("line", ["sNaN", "1 sNaN", "1e99999999999999999999"])
def test_numbers_that_cannot_be_compared_are_wrong(line):
    """A signalling NaN and an exponent past all bounds raise in decimal arithmetic; nothing is raised here."""
    assert not stdout_matches("1", line)
    assert not stdout_matches(line, "1")
    assert stdout_matches(line, line)


def test_depth_is_no_danger():
    """Values nested far deeper than the stack are compared."""
    left, right = [], []
    for _ in range(20_000):
        left, right = [left], [right]
    assert values_equal(left, right)
    assert not values_equal([left], right)


def test_rllm_main_is_the_same_rule():
    """rLLM grades every kind of row by a copy of LiveCodeBench's harness since May 2025."""
    assert rllm_main.RULES == lcb_v5.RULES
