"""The stand-in engine and the line through the peaks of memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.evaluation.__main__ import slope
from benchmarks.evaluation.stand_in_engine import END, events
from deepcoder_evaluation.chat_stream import DONE, AnswerParts

IDS = {byte: byte for byte in range(128)}


async def answered(text: str, most: int) -> Any:
    """What the evaluator makes of the stand-in's stream."""
    parts = AnswerParts()
    async for event in events(text.encode(), most, 10_000.0, IDS):
        for line in event.splitlines():
            data = line.removeprefix("data: ")
            if data and data != DONE:
                json.loads(data)
                parts.add(data)
    return parts.answer(0.0)


async def test_the_stand_in_ends_by_itself_or_is_cut() -> None:
    """As an engine does: with its end token and stop, or with length."""
    whole, cut = await answered("hello", 100), await answered("hello", 3)
    assert (whole.text, whole.finish_reason, list(whole.ids)) == ("hello", "stop", [*b"hello", END])
    assert (cut.text, cut.finish_reason, list(cut.ids)) == ("hel", "length", [*b"hel"])


def test_the_slope_of_a_line() -> None:
    """Through points on it, and around it."""
    assert slope([(0, 1), (10, 6), (20, 11)]) == pytest.approx(0.5)
    assert slope([(0, 0), (1, 2), (2, 2)]) == pytest.approx(1.0)
