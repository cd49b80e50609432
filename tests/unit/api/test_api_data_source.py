"""What may be said of a source of problems."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from deepcoder_api.training_run import DataSource, Window


def source(**changes: Any) -> DataSource:
    """A source of LiveCodeBench."""
    return DataSource.model_validate({"name": "s", "format": "livecodebench", "uri": "s3://b/x", **changes})


@pytest.mark.parametrize(
    "uri", ["hf://datasets/org/name/data/", "s3://bucket/folder/train-*.parquet", "file:///folder"]
)
def test_a_source_may_be_several_files(uri: str) -> None:
    """A folder, or a name with *."""
    assert source(uri=uri).uri == uri


def test_all_tests_are_used_unless_some_are_chosen() -> None:
    """The longest inputs are preferred without saying so."""
    assert (source().tests.max_count, source().window) == (None, None)
    assert source(tests={"maxCount": 15}).tests.prefer == "longest-input"


@pytest.mark.parametrize(
    ("window", "day", "within"),
    [
        ({}, "1970-01-01", True),
        ({"from": "2023-05-01"}, "2023-05-01", True),
        ({"from": "2023-05-01"}, "2023-04-30", False),
        ({"to": "2024-07-31"}, "2024-07-31", True),
        ({"to": "2024-07-31"}, "2024-08-01", False),
        ({"from": "2024-02-29", "to": "2024-02-29"}, "2024-02-29", True),
    ],
)
def test_both_days_of_a_window_count(window: dict[str, str], day: str, within: bool) -> None:
    """A day that is absent is no bound."""
    assert Window.model_validate(window).holds(date.fromisoformat(day)) is within


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window": {"from": "2023-02-30"}}, "from: '2023-02-30' is no day of the calendar"),
        ({"window": {"from": "2023-13-01"}}, "String should match pattern"),
        ({"window": {"from": "1 May 2023"}}, "String should"),
        ({"window": {"from": date(2023, 5, 1)}}, "Input should be a valid string"),
        ({"window": {"from": "2024-08-01", "to": "2024-07-31"}}, "to: '2024-07-31' is before from ('2024-08-01')"),
        ({"window": {"until": "2024-07-31"}}, "Extra inputs are not permitted"),
        ({"format": "taco", "window": {}}, "window: rows of format 'taco' have no contest date"),
        ({"format": "apps"}, "Input should be 'jsonl', 'humaneval'"),
        ({"tests": {"maxCount": 0}}, "greater than or equal to 1"),
        ({"tests": {"prefer": "shortest-input"}}, "Input should be 'longest-input'"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], said: str) -> None:
    """With the field, its value and what is allowed."""
    with pytest.raises(ValidationError) as caught:
        source(**changes)

    assert said in str(caught.value)
