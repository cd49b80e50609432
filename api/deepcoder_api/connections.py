"""TCP between a run's pods: a peer that vanished is noticed, though nobody is left to say so.

A pod that is forced away, or a node that dies, closes no connection, and gVisor's network stack dies with its pod. Who
waits there for an answer would wait until its own deadline, which for an answer or a grade is an hour.
"""

from __future__ import annotations

import socket

# Well above a busy node's pauses: the peer's kernel answers these probes, not its process.
SILENT_SECONDS = 20

SocketOption = tuple[int, int, int]


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
