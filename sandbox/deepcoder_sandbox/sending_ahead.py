"""What of a program's tests is sent to its process before it is their turn. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

TESTS_AHEAD, BYTES_AHEAD = 64, 64 * 1024
Test = TypeVar("Test")


def to_send(
    tests: Sequence[Test], encode: Callable[[Test], bytes], *, begun: int, sent: int, largest: int | None = None
) -> list[bytes]:
    """Those that follow the first `sent`, once half of what was sent ahead is used up; `begun` tests have begun.

    Up to the first that is larger than `largest`, and bounded by what they add up to.
    """
    if sent > begun + TESTS_AHEAD // 2:
        return []
    chosen: list[bytes] = []
    for test in tests[sent : begun + TESTS_AHEAD]:
        data = encode(test)
        if sum(map(len, chosen)) > BYTES_AHEAD or (largest is not None and len(data) > largest):
            break
        chosen.append(data)
    return chosen
