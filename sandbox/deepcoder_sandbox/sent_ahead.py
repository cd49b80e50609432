"""In a forked child: the inputs that come by its channel before their turn, several at once."""

from __future__ import annotations

import socket

from deepcoder_sandbox.frames import take_frame

INLINE, PIPED = b"i", b"p"
INLINE_BYTES = 32 * 1024  # what a new pipe holds in any case: Linux and gVisor give it 64 KiB


class Inputs:
    """Inputs in their order. One is a frame: `INLINE` and all of it, or `PIPED`, and a pipe's descriptor behind it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._data = bytearray()
        self._descriptors: list[int] = []

    def take(self) -> bytes | int | None:
        """Wait for the next: its bytes, or the descriptor of a pipe that holds it; None when none will come."""
        while (frame := take_frame(self._data)) is None:
            if not self._receive():
                return None
        if frame != PIPED:
            return frame[len(INLINE) :]
        while not self._descriptors or not self._data:
            if not self._receive():
                return None
        del self._data[:1]  # the byte that the descriptor came with
        return self._descriptors.pop(0)

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._channel, 2 * INLINE_BYTES, 2)
        self._data += data
        self._descriptors += descriptors
        return bool(data)
