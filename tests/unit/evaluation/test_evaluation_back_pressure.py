"""When a server may be asked again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deepcoder_evaluation.back_pressure import asked_pause, own_pause

NOW = datetime(2026, 10, 21, 7, 28, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("900", 900.0),
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float) -> None:
    """Whatever else it is asks for nothing."""
    assert asked_pause(header, NOW) == seconds


def test_our_own_pause_doubles_up_to_its_bound() -> None:
    """A quarter of a second at first, half a minute at most."""
    assert [own_pause(attempt) for attempt in (0, 1, 2, 6, 7, 1000)] == [0.25, 0.5, 1.0, 16.0, 30.0, 30.0]
