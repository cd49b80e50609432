"""The offline difficulty filter as it is written: what its bounds keep, and what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deepcoder_api.difficulty_spec import Difficulty
from tests.resolved_runs import resolved_run


def difficulty(**given: Any) -> Difficulty:
    """A filter by four answers, unless said otherwise."""
    return Difficulty.model_validate({"samplesPerPrompt": 4, **given})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"keepAbove": 0}, [1, 2, 3, 4]),
        ({"keepBelow": 1}, [0, 1, 2, 3]),
        ({"keepAbove": 0, "keepBelow": 1}, [1, 2, 3]),
        ({"keepAbove": 0.25, "keepBelow": 0.75}, [2]),
        ({"keepAbove": 0.2, "keepBelow": 0.8}, [1, 2, 3]),
        ({"keepAbove": 0.75}, [4]),
        ({"keepBelow": 0.01}, [0]),
    ],
)
def test_bounds_are_exclusive(given: dict[str, float], kept: list[int]) -> None:
    """Of the counts of accepted answers from 0 to 4."""
    assert [accepted for accepted in range(5) if difficulty(**given).keeps(accepted)] == kept


@pytest.mark.parametrize("samples", [1, 3, 7, 10, 100, 1000])
def test_a_bound_that_a_share_is_equal_to_is_exclusive_however_it_is_written(samples: int) -> None:
    """0.7 of 10 answers are 7, though neither has an exact binary value."""
    for accepted in range(1, samples, max(1, samples // 100)):
        share = round(accepted / samples, 3)
        if share * samples != pytest.approx(accepted, abs=1e-9):
            continue
        assert difficulty(samplesPerPrompt=samples, keepAbove=share).too_hard(accepted)
        assert difficulty(samplesPerPrompt=samples, keepBelow=share).too_easy(accepted)


def test_all_sources_are_rated_unless_some_are_named() -> None:
    """By the name that they have in data.sources."""
    assert difficulty(keepAbove=0).rates("any")
    named = difficulty(keepAbove=0, sources=["taco"])
    assert (named.rates("taco"), named.rates("other")) == (True, False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "keepAbove, keepBelow or both must be given"),
        ({"keepAbove": 0.5, "keepBelow": 0.4}, "no share of 4 answers is above 0.5"),
        ({"keepAbove": 0.5, "keepBelow": 0.75}, "no share of 4 answers is above 0.5 .keepAbove. and below 0.75"),
        ({"keepAbove": 0.76}, None),
        ({"keepAbove": 1}, "less than 1"),
        ({"keepBelow": 0}, "greater than 0"),
        ({"keepAbove": 0, "sources": ["a", "a"]}, "'a' is given twice"),
        ({"keepAbove": 0, "samplesPerPrompt": 0}, "greater than or equal to 1"),
    ],
)
def test_what_would_drop_nothing_or_everything_is_refused(given: dict[str, Any], said: str | None) -> None:
    """With the values, and what they come to."""
    if said is None:
        assert difficulty(**given).keeps(4)
        return
    with pytest.raises(ValidationError, match=said):
        difficulty(**given)


def test_a_source_that_is_not_there_cannot_be_rated() -> None:
    """It is a slip of the pen: the message says which there are."""
    with pytest.raises(ValidationError, match=r"difficulty.sources: 'mode' is none of data.sources: made"):
        resolved_run(data={"difficulty": {"samplesPerPrompt": 4, "keepAbove": 0, "sources": ["mode"]}})
