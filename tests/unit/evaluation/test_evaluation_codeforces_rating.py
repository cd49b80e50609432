"""The rating against hand-worked cases, an independent computation, and what must hold of any rating."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_evaluation.codeforces_rating import (
    Contest,
    Participant,
    contest_rating,
    percentile,
    rating_of_rank,
)
from deepcoder_evaluation.reference_rows import reference_rows

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "codeforces_ratings_2024.json"
shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the project's shared data folder beside the clone")


def contest(points: dict[str, float | None], *participants: tuple[float, float, int]) -> Contest:
    return Contest("1", points, tuple(Participant(*one) for one in participants))


def field_of(count: int = 201, rating: int = 1500, points: float = 0.0) -> list[tuple[float, float, int]]:
    return [(points, 0.0, rating)] * count


@shared
@pytest.mark.shared_data
def test_the_published_ratings_give_their_published_percentiles() -> None:
    """The card's reference rows, and its own rating, which it prints rounded: 1936.5 gives 95.3, 1936 gives 95.2."""
    users = {int(rating): count for rating, count in json.loads(SHARED.read_text()).items()}
    assert percentile(1936.5, users) == 95.3
    assert percentile(1936, users) == 95.2
    for row in reference_rows("codeforces"):
        if row.model != "DeepCoder-14B-Preview":
            assert percentile(row.value, users) == row.percentile, row.model


def test_percentile_by_hand() -> None:
    """Two of five are below 1200; who has just that rating is not."""
    users = {1000: 1, 1100: 1, 1200: 2, 1300: 1}
    assert [percentile(rating, users) for rating in (999, 1000, 1200, 1200.5, 2000)] == [0.0, 0.0, 40.0, 80.0, 100.0]


def test_points_lose_fifty_a_failed_try_and_never_fall_below_none() -> None:
    """A at the first try 500, B at the third 1000 - 100, C too late to be worth anything, D never."""
    given = contest({"A": 500.0, "B": 1000.0, "C": 50.0, "D": 2000.0}, *field_of())
    tries = {"A": [True], "B": [False, False, True], "C": [False, False, True], "D": [False] * 8}
    found = contest_rating(given, "1", tries)
    assert (found.score, found.penalty, found.solved, found.problems) == (1400.0, 0.0, 3, 4)


def test_where_problems_have_no_points_each_is_one_and_a_failed_try_ten_minutes() -> None:
    """Two problems, one failed try: 2 and 10; by the penalty it is behind those with less, before those with more."""
    rows = [(2.0, 0.0, 1500)] * 100 + [(2.0, 10.0, 1500)] * 50 + [(2.0, 11.0, 1500)] * 100
    found = contest_rating(contest({"A": None, "B": None}, *rows), "1", {"A": [True], "B": [False, True]})
    assert (found.score, found.penalty, found.rank) == (2.0, 10.0, 150)


def test_the_middle_of_equals_has_their_rating() -> None:
    """Of 2 n participants with 1500, n before: 1 + 2 n / 2 is about the rank n; by hand 1500 + 400 log10(...)"""
    rank, count, old = 101, 200, 1500
    exact = old + 400 * math.log10(count / (rank - 1) - 1)
    assert rating_of_rank(rank, Counter({old: count})) == pytest.approx(exact, abs=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "there are no standings"),
        (contest({"A": None}, *field_of(200)), "200 rated participants; more than 200"),
        (contest({"B": None}, *field_of()), "no problem A"),
    ],
)
def test_a_contest_that_does_not_count_says_why(given: Contest | None, said: str) -> None:
    """It has no rating, which is not a rating of 0."""
    found = contest_rating(given, "7", {"A": [True]})
    assert (found.contest, found.rating, found.rank, found.solved) == ("7", None, None, 1)
    assert said in (found.skipped or "")


ratings = st.lists(st.integers(-50, 4000), min_size=201, max_size=260)


@given(ratings, st.integers(0, 260))
@settings(max_examples=10)
def test_the_rating_is_the_highest_that_is_still_expected_to_be_behind(old: list[int], rank: int) -> None:
    """An independent search: every whole rating below the highest + 100, each participant by itself."""
    top = max(old) + 100

    def seed(rating: int) -> float:
        return 1 + sum(1 / (1 + math.pow(10, (rating - one) / 400)) for one in old)

    expected = max((rating for rating in range(1, top) if seed(rating) >= rank), default=0)
    assert rating_of_rank(rank, Counter(old)) == expected


rows = st.lists(
    st.tuples(st.integers(0, 6).map(float), st.integers(0, 30).map(float), st.integers(0, 3500)),
    min_size=201,
    max_size=230,
)
tries = st.dictionaries(st.sampled_from("ABCDEF"), st.lists(st.booleans(), min_size=1, max_size=4), min_size=1)


@given(rows, tries, st.randoms())
@settings(max_examples=20)
def test_the_order_of_the_standings_does_not_matter(rows: list, tries: dict, chance) -> None:  # type: ignore[no-untyped-def]
    """Ranks are counted, not looked up."""
    points = dict.fromkeys("ABCDEF")
    first = contest_rating(contest(points, *rows), "1", tries)
    mixed = list(rows)
    chance.shuffle(mixed)
    assert contest_rating(contest(points, *mixed), "1", tries) == first


@given(rows, tries, st.sampled_from("ABCDEF"))
@settings(max_examples=20)
def test_one_more_solved_problem_never_lowers_the_rating(rows: list, tries: dict, index: str) -> None:
    """Nor does a solution at an earlier try."""
    given = contest(dict.fromkeys("ABCDEF"), *rows)
    better = {**tries, index: [True]}
    before, after = contest_rating(given, "1", tries), contest_rating(given, "1", better)
    assert before.rating is not None
    assert after.rating is not None
    assert after.rating >= before.rating
