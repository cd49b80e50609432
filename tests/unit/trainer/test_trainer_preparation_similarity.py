"""How alike two statements are, and the search for the nearest."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_trainer.preparation.near_duplicates import (
    MISSED,
    PERMUTATIONS,
    StatementIndex,
    bands_and_rows,
    statement_of,
)
from deepcoder_trainer.preparation.similarity import jaccard, normalized_words, shingles

WORDS = ("add", "all", "even", "integers", "from", "the", "list", "then", "print", "their", "sum", "modulo", "seven")
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Read N integers.", ["read", "n", "integers"]),
        ("  Read\tN\r\n\r\nINTEGERS ", ["read", "n", "integers"]),
        ("**Read** `$n$` _integers_, \\textbf{please}!", ["read", "n", "integers", "textbf", "please"]),
        ("x<y, x > y; a-b", ["x", "<", "y", "x", ">", "y", "a", "-", "b"]),
        ("1 \u2264 n \u2264 10^5", ["1", "\u2264", "n", "\u2264", "10", "5"]),
        ("\uff2e \u2075 Stra\u00dfe", ["n", "5", "strasse"]),
        ("def is_even(n):", ["def", "is", "even", "n"]),
        ("\u2026 !?", []),
    ],
)
def test_the_words_of_a_statement(text: str, words: list[str]) -> None:
    """Case, white space, markup and Unicode's forms do not count; operators do."""
    assert normalized_words(text) == words


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("a b c d e", "a b c d e", 1),
        ("a b c d e", "A  b, c d\ne.", 1),
        ("a b c d e f", "a b c d e g", 1 / 3),  # 2 grams each, 1 shared
        ("a b c d e f g h i j", "a b c d x f g h i j", 1 / 11),  # 6 grams each, 1 shared: all but the last are changed
        ("a b c d e f g", "x a b c d e f g", 3 / 4),
        ("a b", "a b", 1),
        ("a b", "a b c", 0),
        ("a b c d e", "v w x y z", 0),
        ("a b c d e a b c d e", "a b c d e a b c d e a b c d e", 1),  # as sets: a repetition adds nothing
        ("is x < y or not", "is x > y or not", 0),
    ],
)
def test_the_similarity_of_two_statements(left: str, right: str, expected: float) -> None:
    """Shared 5-grams over all 5-grams, worked out by hand."""
    assert jaccard(shingles(left), shingles(right)) == pytest.approx(expected)


@given(texts, texts)
def test_the_similarity_is_that_of_the_sets(left: str, right: str) -> None:
    """Against sets of tuples of words; either way round; and equal to itself."""

    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[place : place + 5]) for place in range(max(1, len(words) - 4))}

    union = grams(left) | grams(right)
    found = jaccard(shingles(left), shingles(right))

    assert found == pytest.approx(len(grams(left) & grams(right)) / len(union))
    assert found == jaccard(shingles(right), shingles(left))
    assert jaccard(shingles(left), shingles(left)) == 1


@given(texts, st.randoms(use_true_random=False))
def test_case_and_white_space_change_nothing(text: str, chance: random.Random) -> None:
    """The same statement, written otherwise."""
    other = "".join(
        chance.choice([" ", "\n", "\t  ", " \r\n"]) if letter == " " else chance.choice([letter, letter.upper()])
        for letter in text
    )

    assert np.array_equal(shingles(other), shingles(text))


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=30), texts, st.sampled_from([0.5, 0.7, 0.95, 1.0]))
def test_what_is_found_is_the_nearest_and_never_below_the_threshold(
    statements: list[str], asked: str, threshold: float
) -> None:
    """Against a comparison with every statement; the first of equally near ones."""
    index = StatementIndex(threshold)
    for place, text in enumerate(statements):
        index.add(str(place), statement_of(text))

    near = index.nearest(statement_of(asked))

    exact = [jaccard(shingles(asked), shingles(text)) for text in statements]
    if near is None:
        assert max(exact) < threshold + 0.05  # what is at the threshold may be missed, by a chance of one in a thousand
    else:
        assert near.similarity >= threshold
        assert (near.name, near.similarity) == (str(exact.index(max(exact))), max(exact))


@pytest.mark.parametrize(
    ("statements", "name", "similarity"),
    [
        (["a b c d e f g h i j x", "a b c d e f g h i j"], "1", 1),
        (["a b c d e f g h i j", "a b c d e f g h i j x"], "0", 1),
        (["a b c d e f g h i j x", "y a b c d e f g h i j"], "0", 6 / 7),
        (["a b c d e f g h i j", "A b c d e, f g h i j"], "0", 1),
    ],
)
def test_of_several_near_statements_the_nearest_is_named(statements: list[str], name: str, similarity: float) -> None:
    """Ten words have six 5-grams, one word more one more; of equally near ones the first."""
    index = StatementIndex(0.5)
    for place, text in enumerate(statements):
        index.add(str(place), statement_of(text))

    near = index.nearest(statement_of("a b c d e f g h i j"))

    assert near is not None
    assert (near.name, near.similarity) == (name, pytest.approx(similarity))


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0])
def test_bands_miss_a_pair_at_the_threshold_by_the_stated_chance(threshold: float) -> None:
    """And longer rows, which would propose less, would miss more."""
    bands, rows = bands_and_rows(threshold)

    assert bands * rows <= PERMUTATIONS
    assert (1 - threshold**rows) ** bands <= MISSED
    longer = rows + 1
    assert longer > PERMUTATIONS // 2 or (1 - threshold**longer) ** (PERMUTATIONS // longer) > MISSED


def test_pairs_above_the_threshold_are_found() -> None:
    """Of 2,000 statements with one of their 105 words changed, similarity 96/106, none is missed at 0.9."""
    chance = random.Random(7)
    index = StatementIndex(0.9)
    missed = 0
    for place in range(2000):
        words = [f"w{chance.randrange(100_000)}" for _ in range(105)]
        index.add(str(place), statement_of(" ".join(words)))
        words[50] = "changed"
        near = index.nearest(statement_of(" ".join(words)))
        missed += near is None or near.name != str(place)
    assert missed == 0
