"""Socket options under which a vanished peer is noticed, and answers that wait for nobody."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.connections import keepalive_options, listener


@given(st.integers(4, 600))
def test_silent_peer_is_given_up_within_the_time_and_not_much_before(seconds: int) -> None:
    """Probes that are not answered end the connection after three quarters of the time at the earliest."""
    options = {name: value for _, name, value in keepalive_options(seconds)}
    probes = options[socket.TCP_KEEPCNT] * options[socket.TCP_KEEPINTVL]
    assert 0.6 * seconds <= options[socket.TCP_KEEPIDLE] + probes <= seconds + 2
    assert options[socket.TCP_USER_TIMEOUT] == seconds * 1000


def test_options_hold_on_a_socket() -> None:
    """The kernel takes each of them."""
    with socket.socket() as one:
        for level, name, value in keepalive_options():
            one.setsockopt(level, name, value)
            assert one.getsockopt(level, name) == value


def test_answers_over_a_listener_are_sent_without_delay() -> None:
    """Nagle's algorithm is off on every connection that asyncio accepts there."""

    async def accepted() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            end = writer.get_extra_info("socket")
            seen.set_result(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        at = listener("127.0.0.1", 0)
        async with await asyncio.start_server(connected, sock=at):
            _, writer = await asyncio.open_connection(*at.getsockname())
            found = await asyncio.wait_for(seen, 10.0)
            writer.close()
        return found

    assert asyncio.run(accepted()) != 0


def test_listener_says_that_its_address_is_taken() -> None:
    """OSError, as from the socket module."""
    with listener("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listener("127.0.0.1", first.getsockname()[1])
