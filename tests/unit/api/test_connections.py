"""Socket options under which a vanished peer is noticed."""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.connections import keepalive_options


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
