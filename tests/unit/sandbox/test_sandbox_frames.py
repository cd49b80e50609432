"""Frames between processes, and the server's ends of a run's streams."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from deepcoder_sandbox.frames import FrameTooLargeError, PeerClosedError, pack, receive_frame, send_frame
from deepcoder_sandbox.streams import Channel, MarkedSink, Sink, Source


@pytest.fixture
def ends():
    """Two connected sockets."""
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def moved(channel: Channel, until: int = 1) -> list[bytes]:
    """The frames of `channel` once it has `until` of them or is at its end."""
    while len(channel.frames) < until and not channel.ended:
        channel.move()
    return channel.frames


@pytest.mark.parametrize("size", [0, 1, 4096, 3_000_000])
def test_frame_arrives_whole(ends, size):
    """A frame of any size comes through, also one that the socket takes in many pieces."""
    left, right = ends
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    sender = threading.Thread(target=send_frame, args=(left.fileno(), payload))
    sender.start()
    assert receive_frame(right.fileno(), size) == payload
    sender.join()


def test_closed_socket_is_told_apart(ends):
    """Reading from or writing to a peer that is gone raises PeerClosedError, also in mid-frame."""
    left, right = ends
    left.sendall(pack(b"whole")[:-1])
    left.close()
    with pytest.raises(PeerClosedError):
        receive_frame(right.fileno(), 100)
    with pytest.raises(PeerClosedError):
        send_frame(right.fileno(), b"x")


def test_announced_size_is_bounded(ends):
    """A frame larger than allowed is refused before it is read."""
    left, right = ends
    left.sendall(b"\xff\xff\xff\xff")
    with pytest.raises(FrameTooLargeError, match="4294967295 bytes"):
        receive_frame(right.fileno(), 1000)


def test_channel_takes_frames_however_they_are_cut(ends):
    """Frames that arrive together or in pieces are the same frames."""
    left, right = ends
    channel = Channel(left, 100, takes_proc=False)
    data = pack(b"one") + pack(b"") + pack(b"three")
    for byte in data:
        right.sendall(bytes([byte]))
        channel.move()
    right.sendall(data)
    assert moved(channel, 6) == [b"one", b"", b"three"] * 2


def test_channel_ends_with_a_frame_that_is_too_large(ends):
    """It says that it overflowed, and reads no more."""
    left, right = ends
    channel = Channel(left, 100, takes_proc=False)
    right.sendall(pack(b"x" * 101))
    moved(channel)
    assert channel.overflowed
    assert channel.wanted() == 0


def test_channel_sends_what_the_socket_takes_and_keeps_the_rest(ends):
    """Sending never blocks; the peer gets all of it in order."""
    left, right = ends
    channel = Channel(left, 100, takes_proc=False)
    payload = os.urandom(3_000_000)
    channel.send(payload)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(receive_frame(right.fileno(), len(payload))))
    reader.start()
    while reader.is_alive():
        channel.move()
    assert received == [payload]


def send_descriptor(end: socket.socket, payload: bytes) -> None:
    """A frame that brings a descriptor of the root folder."""
    descriptor = os.open("/", os.O_RDONLY)
    socket.send_fds(end, [pack(payload)], [descriptor])
    os.close(descriptor)


def test_only_the_first_descriptor_is_taken_for_proc(ends):
    """What a program sends later is closed."""
    left, right = ends
    channel = Channel(left, 100, takes_proc=True)
    send_descriptor(right, b"ready")
    moved(channel)
    first = channel.proc
    send_descriptor(right, b"again")
    moved(channel, 2)
    assert first is not None
    assert channel.proc == first
    channel.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)


def test_no_descriptor_is_taken_where_none_is_due(ends):
    """Where a run has no /proc of its own, a program cannot make the server watch another folder."""
    left, right = ends
    channel = Channel(left, 100, takes_proc=False)
    send_descriptor(right, json.dumps({"ready": True}).encode())
    moved(channel)
    assert channel.proc is None


def test_sink_counts_all_and_keeps_the_end():
    """A flood is counted whole, and only its tail is held."""
    end, child = os.pipe()
    sink = Sink(end, 10)
    for n in range(1000):
        os.write(child, f"{n:08}".encode())
        sink.move()
    os.close(child)
    sink.drain()
    assert sink.total_bytes == 8000
    assert bytes(sink.data) == b"9800000999"
    assert sink.wanted() == 0


def test_source_writes_all_and_closes():
    """The reader sees the whole input, then its end."""
    child, end = os.pipe()
    source = Source(end, b"x" * 300_000)
    received = bytearray()
    while source.wanted():
        source.move()
        received += os.read(child, 1 << 20)
    while data := os.read(child, 1 << 20):
        received += data
    os.close(child)
    assert received == b"x" * 300_000


def test_source_forgives_a_reader_that_wants_no_more():
    """A program may end with its input unread."""
    child, end = os.pipe()
    os.close(child)
    source = Source(end, b"x" * 300_000)
    source.move()
    assert source.wanted() == 0


def framed(payload: bytes) -> bytes:
    """What ends a stretch of output."""
    return b"<mark>" + pack(payload)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 1000])
def test_marked_output_comes_apart_wherever_it_is_cut(size):
    """Each stretch is what came before its mark; the rest stays, is counted, and ends with the pipe."""
    end, child = os.pipe()
    sink = MarkedSink(end, 1000, b"<mark>")
    sent = b"one\n" + framed(b"1") + framed(b"") + b"<ma<mark" + framed(b"33") + b"rest"
    for at in range(0, len(sent), size):
        os.write(child, sent[at : at + size])
        sink.move()
    os.close(child)
    sink.drain()
    assert sink.stretches == [(b"one\n", b"1"), (b"", b""), (b"<ma<mark", b"33")]
    assert (bytes(sink.data), sink.total_bytes) == (b"rest", 4)
    assert sink.wanted() == 0


def test_flood_without_a_mark_is_counted_whole_and_bounded():
    """Also where it begins with a frame that promises more than will come."""
    end, child = os.pipe()
    sink = MarkedSink(end, 100, b"<mark>")
    os.write(child, b"<mark>\xff\xff\xff\xff")
    for _ in range(50):
        os.write(child, b"x" * 100)
        sink.move()
    os.close(child)
    sink.close()
    assert sink.total_bytes == 5010
    assert len(sink.data) == 100
    assert sink.stretches == []
