"""TCP between a run's pods: a peer that vanished is noticed, and an answer is sent as soon as it is written.

A pod that is forced away, or a node that dies, closes no connection, and gVisor's network stack dies with its pod. Who
waits there for an answer would wait until its own deadline, which for an answer or a grade is an hour.
"""

from __future__ import annotations

import socket

# Well above a busy node's pauses: the peer's kernel answers these probes, not its process.
SILENT_SECONDS = 20

BACKLOG = 2048
SocketOption = tuple[int, int, int]


def listener(host: str, port: int) -> socket.socket:
    """A TCP socket that listens at an IPv4 address, to be served by asyncio; port 0 takes a free one.

    asyncio sends without delay only over a socket that says that it is TCP, which those of `socket.create_server` do
    not: an answer whose body is written after its headers then waits for the client to acknowledge these, 40 ms on
    Linux. Raises OSError when the address is taken.
    """
    made = socket.create_server((host, port), backlog=BACKLOG)
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, fileno=made.detach())


def keepalive_options(silent_seconds: int = SILENT_SECONDS) -> list[SocketOption]:
    """Socket options under which a connection fails once its peer's kernel was silent for `silent_seconds` (4 or more).

    It is asked after half of that time and then every eighth part; what was sent to it is given the whole. Linux has
    all of these options; elsewhere those that are lacking are left out.
    """
    options = [
        ("TCP_KEEPIDLE", silent_seconds // 2),
        ("TCP_KEEPINTVL", max(1, silent_seconds // 8)),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", silent_seconds * 1000),
    ]
    known = [(getattr(socket, name), value) for name, value in options if hasattr(socket, name)]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *((socket.IPPROTO_TCP, name, value) for name, value in known)]
