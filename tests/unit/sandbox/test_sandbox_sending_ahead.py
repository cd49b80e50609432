"""What is sent to a program before its turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepcoder_sandbox.sending_ahead import BYTES_AHEAD, TESTS_AHEAD, to_send

SIZES = st.lists(st.integers(0, 3 * BYTES_AHEAD), max_size=60)


@given(SIZES)
def test_every_test_is_sent_once_in_order_and_never_late(sizes: list[int]) -> None:
    """Whatever the sizes: by the time a test begins it was sent, and no more than the bounds lie ahead."""
    tests, sent = [bytes([number]) * size for number, size in enumerate(sizes)], list[bytes]()
    for begun in range(1, len(tests) + 1):
        batch = to_send(tests, bytes, begun=begun, sent=len(sent))
        sent += batch
        assert sum(map(len, batch[:-1])) <= BYTES_AHEAD
        assert begun <= len(sent) <= begun + TESTS_AHEAD
    assert sent == tests


def test_nothing_is_sent_while_half_is_still_ahead() -> None:
    """Then all that has room goes at once."""
    tests = [b"x"] * 100
    assert len(to_send(tests, bytes, begun=1, sent=0)) == TESTS_AHEAD + 1
    assert to_send(tests, bytes, begun=2, sent=TESTS_AHEAD + 1) == []
    assert len(to_send(tests, bytes, begun=TESTS_AHEAD // 2 + 1, sent=TESTS_AHEAD + 1)) == TESTS_AHEAD // 2


def test_what_is_too_large_ends_a_batch() -> None:
    """It and what follows come later, by another way."""
    assert to_send([b"a", b"b", b"long", b"c"], bytes, begun=1, sent=0, largest=1) == [b"a", b"b"]
    assert to_send([b"long", b"c"], bytes, begun=1, sent=0, largest=1) == []
