r"""The value in a model's answer to a mathematical question: its last \boxed{}. Pure functions, no I/O."""

from __future__ import annotations

from deepcoder_api.problems import MAX_MATH_CHARACTERS
from deepcoder_sandbox.thinking import after_thinking

_BOXES = ("\\boxed", "\\fbox")


def final_answer(answer: str) -> str | None:
    r"""What the last \boxed{} (or \fbox{}) after the end of the model's thinking holds, or None.

    An answer that ends in mid-thinking (`<think>` without its end), a brace without its end, an empty box and one of
    more than MAX_MATH_CHARACTERS characters are no answers.
    """
    said = after_thinking(answer) or ""
    start = max((said.rfind(box + "{") + len(box) for box in _BOXES if box + "{" in said), default=-1)
    if start < 0:
        return None
    value = _braced(said[start : start + MAX_MATH_CHARACTERS + 2])
    return value.strip() or None if value is not None else None


def _braced(text: str) -> str | None:
    """What stands between the brace that `text` begins with and its end; escaped braces do not count."""
    depth, escaped = 0, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter in "{}":
            depth += 1 if letter == "{" else -1
            if depth == 0:
                return text[1:place]
    return None
