"""What a grader says under each profile, with a tolerance and without, and what people are told."""

from __future__ import annotations

from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_api.grading import Profile
from deepcoder_api.problems import Tolerance
from deepcoder_sandbox.comparators.difference import shorten
from deepcoder_sandbox.comparators.registry import comparator
from tests.comparison_values import json_values, returned_values, texts
from tests.profile_verdicts import OUTPUTS, VALUES

PROFILES = get_args(Profile)
profiles = st.sampled_from(PROFILES)
bounds = st.sampled_from((0.0, 1e-6, 0.1, 0.5, 1.0))
tolerances = st.builds(Tolerance, absolute=bounds, relative=bounds)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("profile", PROFILES)
def test_verdict_on_an_output(profile, name):
    """As the profile's harness has it."""
    expected, actual, accepting = OUTPUTS[name]
    assert comparator(profile).stdout_matches(expected, actual) == (profile in accepting)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("profile", PROFILES)
def test_verdict_on_a_value(profile, name):
    """As the profile's harness has it."""
    expected, actual, accepting = VALUES[name]
    assert comparator(profile).values_equal(expected, actual) == (profile in accepting)


def without_nan(value: object) -> bool:
    """Whether no part of a value is unequal to itself."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value == value and all(map(without_nan, parts))


@given(profiles, texts, json_values.filter(without_nan))
@settings(deadline=None)
def test_what_is_expected_is_right(profile, text, value):
    """A program that gives exactly what is expected passes under every profile; rLLM's release has its own of dicts."""
    assert comparator(profile).stdout_matches(text, text)
    if profile != "rllm-release" or "{" not in repr(value):
        assert comparator(profile).values_equal(value, value)


@given(profiles, tolerances, texts, texts, json_values, returned_values)
@settings(deadline=None)
def test_tolerance_makes_nothing_wrong(profile, tolerance, expected, actual, stated, returned):
    """What passes without passes with any."""
    exact, tolerant = comparator(profile), comparator(profile, tolerance)
    assert tolerant.stdout_matches(expected, actual) >= exact.stdout_matches(expected, actual)
    assert tolerant.values_equal(stated, returned) >= exact.values_equal(stated, returned)


numbers = st.decimals(min_value=-3, max_value=3, places=2).map(str)


@given(profiles, tolerances, st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4))
@settings(deadline=None)
def test_number_within_the_tolerance_is_right(profile, tolerance, pairs):
    """Line by line within max(absolute, relative * |expected|), as fractions say; only rLLM's release passes more."""
    absolute, relative = Fraction(str(tolerance.absolute)), Fraction(str(tolerance.relative))
    within = all(
        abs(Fraction(actual) - Fraction(expected)) <= max(absolute, relative * abs(Fraction(expected)))
        for expected, actual in pairs
    )
    expected, actual = ("\n".join(column) for column in zip(*pairs, strict=True))
    matches = comparator(profile, tolerance).stdout_matches(expected, actual)
    assert matches >= within
    if profile != "rllm-release":
        assert matches == within
        stated, returned = ([float(number) for number in column] for column in zip(*pairs, strict=True))
        assert comparator(profile, tolerance).values_equal(stated, returned) == within


TENTH = Tolerance(absolute=0.1)
PERCENT = Tolerance(relative=0.01)
TOLERATED = {
    "the bound itself": ("1", "1.1", TENTH, True),
    "just past it": ("1", "1.1000000000000000000001", TENTH, False),
    "relative to the expected one": ("200", "202", PERCENT, True),
    "not to the actual one": ("200", "202.01", PERCENT, False),
    "the larger bound counts": ("200", "202", Tolerance(absolute=0.1, relative=0.01), True),
    "no tolerance left at zero": ("0", "0.001", PERCENT, False),
    "among words": ("x = 1.0 y", "x = 1.05 y", TENTH, True),
    "a word beside it": ("x = 1.0", "y = 1.0", TENTH, False),
    "a word in its place": ("1.0", "one", TENTH, False),
    "a number too many": ("1.0", "1.0 1.0", TENTH, False),
    "on other lines": ("1.0 2.0", "1.0\n2.0", TENTH, False),
    "infinity": ("1", "inf", TENTH, False),
    "infinity expected": ("inf", "1", PERCENT, False),
    "NaN": ("nan", "NaN", TENTH, False),
    "a huge exponent": ("1", "1e999999999999999999", TENTH, False),
    "zero tolerance is by value": ("1.50", "1.5", Tolerance(), True),
    "zero tolerance is exact": ("1000000000000000000", "1000000000000000001", Tolerance(), False),
}


@pytest.mark.parametrize("name", TOLERATED)
@pytest.mark.parametrize("profile", ["strict", "lcb-v5", "rllm-main"])
def test_tolerance_is_for_numbers_in_their_places(profile, name):
    """Everything else of the profile's rule stays."""
    expected, actual, tolerance, right = TOLERATED[name]
    assert comparator(profile, tolerance).stdout_matches(expected, actual) is right


def test_tolerance_reaches_into_rllms_alternatives():
    """The first item of an expected list is compared with it too."""
    assert comparator("rllm-release", TENTH).values_equal([1.0], 1.05)
    assert not comparator("strict", TENTH).values_equal([1.0], 1.05)


@pytest.mark.parametrize("profile", PROFILES)
def test_tolerance_within_values(profile):
    """Numbers at any depth; a bool is none, nor is text, nor an int beyond any float."""
    tolerant = comparator(profile, Tolerance(absolute=1))
    assert tolerant.values_equal({"a": [1, 2.5]}, {"a": [2, 2.0]})
    assert not tolerant.values_equal([0, 2], [0, True])
    assert not tolerant.values_equal("1", "2")
    assert not tolerant.values_equal(10**5000, 10**5000 + 1)
    assert not tolerant.values_equal(1.0, float("inf"))


def test_difference_names_the_first_line_that_differs():
    """People see the line, what was expected and what came, each of bounded length."""
    strict = comparator("strict")
    assert strict.stdout_difference("1\n2\n3", "1\nx\ny") == "line 2: expected '2', got 'x'"
    assert strict.stdout_difference("1\n2", "1") == "expected 2 lines, got 1"
    assert strict.stdout_difference("1\n2", "1\n2\n") == ""
    assert len(strict.stdout_difference("a" * 10**6, "b" * 10**6)) < 200


def test_difference_is_the_profiles():
    """A line that the profile passes is not what people are told of."""
    assert comparator("lcb-v5").stdout_difference("1\n2", "1.0\n3") == "line 2: expected '2', got '3'"
    assert comparator("strict", TENTH).stdout_difference("1\n2", "1.1\n3") == "line 2: expected '2', got '3'"


@given(profiles, texts, texts)
@settings(deadline=None)
def test_every_difference_is_told(profile, expected, actual):
    """No wrong answer is without its line, and no right one has any."""
    compared = comparator(profile)
    assert bool(compared.stdout_difference(expected, actual)) != compared.stdout_matches(expected, actual)


def test_shortened_value_fits_into_a_line():
    """A long value is cut, and the cut shows."""
    assert shorten(list(range(1000))).endswith("…")
    assert len(shorten("x" * 1000)) == 60
    assert shorten([1]) == "[1]"
