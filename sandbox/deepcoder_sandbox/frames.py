"""Length-prefixed frames over blocking stream sockets, as the forked processes speak them. Minimal imports."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

HEADER = struct.Struct(">I")


class PeerClosedError(ConnectionError):
    """The other end of the socket is gone."""


class FrameTooLargeError(ValueError):
    """The other end announces a frame larger than may come."""


def pack(payload: bytes) -> bytes:
    """`payload` with its length before it."""
    return HEADER.pack(len(payload)) + payload


def take_frame(data: bytearray, at: int = 0) -> bytes | None:
    """Cut the frame that begins at `at` out of `data`; None, and nothing cut, while it is not whole."""
    if len(data) < at + HEADER.size:
        return None
    end = at + HEADER.size + HEADER.unpack_from(data, at)[0]
    if len(data) < end:
        return None
    frame = bytes(data[at + HEADER.size : end])
    del data[at:end]
    return frame


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, waiting as long as it takes. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def send_frame(descriptor: int, payload: bytes) -> None:
    """Write one frame, waiting as long as it takes. Raises PeerClosedError."""
    try:
        write_all(descriptor, pack(payload))
    except (BrokenPipeError, ConnectionResetError) as error:
        raise PeerClosedError(str(error)) from None


def receive_frame(descriptor: int, max_bytes: int) -> bytes:
    """Read one frame, waiting as long as it takes. Raises PeerClosedError, or FrameTooLargeError."""
    (length,) = HEADER.unpack(_receive_exactly(descriptor, HEADER.size))
    if length > max_bytes:
        raise FrameTooLargeError(f"{length} bytes; at most {max_bytes} are allowed")
    return _receive_exactly(descriptor, length)


def read_frame(stream: BinaryIO, max_bytes: int) -> bytes:
    """Read one frame of a buffered stream, waiting as long as it takes. Raises as `receive_frame`."""
    try:
        header = stream.read(HEADER.size)
        length = HEADER.unpack(header)[0] if len(header) == HEADER.size else 0
        if length > max_bytes:
            raise FrameTooLargeError(f"{length} bytes; at most {max_bytes} are allowed")
        payload = stream.read(length)
    except ConnectionResetError as error:
        raise PeerClosedError(str(error)) from None
    if len(header) < HEADER.size or len(payload) < length:
        raise PeerClosedError("the other end closed the socket")
    return payload


def _receive_exactly(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            chunk = os.read(descriptor, min(size - len(data), 1 << 20))
        except ConnectionResetError as error:
            raise PeerClosedError(str(error)) from None
        if not chunk:
            raise PeerClosedError("the other end closed the socket")
        data += chunk
    return bytes(data)
