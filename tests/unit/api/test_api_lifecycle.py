"""The last words of a container, and the exit codes that go with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.evaluation_status import BenchmarkScore
from deepcoder_api.lifecycle import EXIT_CODES, TerminationMessage, parse_termination_message


def test_exit_codes() -> None:
    """0 done, 64 will fail again, 75 may succeed again: as sysexits.h has EX_USAGE and EX_TEMPFAIL."""
    assert EXIT_CODES == {"done": 0, "permanent": 64, "retryable": 75}


def test_a_message_comes_back() -> None:
    """Written as JSON, read again."""
    score = BenchmarkScore.model_validate({"name": "held-out", "problems": 100, "passAt1": 0.81})
    said = TerminationMessage(outcome="done", step=40, uri="s3://bucket/c", scores=(score,))
    assert parse_termination_message(said.model_dump_json()) == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Killed",
        "{}",
        '{"outcome": "well"}',
        '{"outcome": "done", "surprise": 1}',
        "[]",
        "null",
        '{"outcome": "done"',
    ],
)
def test_other_text_is_no_message(text: str) -> None:
    """Log lines (FallbackToLogsOnError), nothing, or a cut message."""
    assert parse_termination_message(text) is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a container leaves."""
    found = parse_termination_message(text)
    assert found is None or isinstance(found, TerminationMessage)
