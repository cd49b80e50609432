"""Where a model's thinking ends and its answer begins. Pure, no I/O."""

from __future__ import annotations

BEGIN, END = "<think>", "</think>"


def after_thinking(answer: str) -> str | None:
    """What follows the last end of thinking; all of an answer without any; None of one that ends in mid-thinking."""
    if END in answer:
        return answer.rpartition(END)[2]
    return None if BEGIN in answer else answer
