"""Intervals and comparisons: against exact counting, and what must hold of them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_evaluation.comparison import compare
from deepcoder_evaluation.intervals import bootstrap_interval, sign_flip_p_value

shares = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30)


@given(shares)
def test_an_interval_is_around_the_mean_and_the_same_every_time(given: list[float]) -> None:
    """Within the values, and repeatable: two reports of the same answers are equal."""
    low, high = bootstrap_interval(given, resamples=400)
    assert min(given) <= low <= high <= max(given)
    assert bootstrap_interval(given, resamples=400) == (low, high)


def test_an_interval_is_as_wide_as_theory_says() -> None:
    """Half of 400: 1.96 standard errors of 0.025 on either side."""
    low, high = bootstrap_interval([0.0, 1.0] * 200)
    assert low == pytest.approx(0.451, abs=0.006)
    assert high == pytest.approx(0.549, abs=0.006)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), max_size=9))
def test_few_differences_are_counted_exactly(given: list[float]) -> None:
    """All choices of signs, one by one."""
    sums = [abs(sum(s * g for s, g in zip(signs, given, strict=True))) for signs in product((1, -1), repeat=len(given))]
    expected = sum(one >= abs(sum(given)) - 1e-12 for one in sums) / len(sums)
    assert sign_flip_p_value(given) == pytest.approx(expected)


def test_many_differences_are_sampled_near_the_exact_value() -> None:
    """20 gained and 8 lost: the exact sign test's two-sided p-value is 0.0357."""
    assert sign_flip_p_value([1.0] * 20 + [-1.0] * 8, resamples=20_000) == pytest.approx(0.0357, abs=0.006)


def test_what_flipped_is_named_and_what_only_one_has_is_left_out() -> None:
    """b was gained, c lost; x and y are in one of them only."""
    found = compare({"a": 1.0, "b": 0.0, "c": 1.0, "x": 1.0}, {"a": 1.0, "b": 1.0, "c": 0.0, "y": 0.0})
    assert (found.problems, found.only_a, found.only_b) == (3, 1, 1)
    assert (found.gained, found.lost, found.difference, found.p_value) == (("b",), ("c",), 0.0, 1.0)
    assert not found.is_more_than_noise


def test_ten_gained_and_none_lost_is_more_than_noise() -> None:
    """Exactly 2 / 2^10."""
    found = compare({str(n): 0.0 for n in range(10)}, {str(n): 1.0 for n in range(10)})
    assert found.p_value == pytest.approx(2 / 1024)
    assert found.is_more_than_noise


def test_nothing_in_common_cannot_be_compared() -> None:
    """An error, not a difference of zero."""
    with pytest.raises(ValueError, match="no problem in common"):
        compare({"a": 1.0}, {"b": 1.0})
