"""How two nested values are compared: part by part, without recursion, so depth is no danger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deepcoder_sandbox.comparators.rules import Near


def nested_equal(
    expected: Any, actual: Any, leaves_equal: Callable[[Any, Any], bool], *, tuples_are_lists: bool
) -> bool:
    """Whether lists, tuples and dicts have the same shape and the same keys, and equal leaves.

    A tuple equals the list of the same items where `tuples_are_lists`, else only a tuple. Keys are compared as dict
    does, so 1, 1.0 and True are one key.
    """
    pending = [(expected, actual)]
    while pending:
        left, right = pending.pop()
        if isinstance(left, list | tuple):
            alike = isinstance(right, list | tuple) if tuples_are_lists else type(left) is type(right)
            if not alike or len(left) != len(right):
                return False
            if _same_plain_items(left, right):
                continue
            pending.extend(zip(left, right, strict=True))
        elif isinstance(left, dict):
            if not isinstance(right, dict) or left.keys() != right.keys():
                return False
            pending.extend((value, right[key]) for key, value in left.items())
        elif not leaves_equal(left, right):
            return False
    return True


def _same_plain_items(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two sequences hold the same ints, or the same texts, and nothing else: equal by any rule."""
    kinds = {*map(type, left), *map(type, right)}
    return len(kinds) == 1 and kinds <= {int, str} and list(left) == list(right)


def python_equal(expected: Any, actual: Any, near: Near) -> bool:
    """`==` of Python, which knows bools as numbers and keeps lists and tuples apart; or numbers that are near.

    NaN equals nothing, not even itself in a list: no value that comes from another process is the same object.
    """
    return nested_equal(
        expected, actual, lambda left, right: left == right or near(left, right), tuples_are_lists=False
    )
