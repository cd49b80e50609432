"""Inputs that come before their turn, read by the process that runs the tests."""

from __future__ import annotations

import os
import socket

import pytest

from deepcoder_sandbox.frames import pack
from deepcoder_sandbox.sent_ahead import INLINE, PIPED, Inputs


@pytest.fixture
def ends():
    """The two ends of a channel."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.settimeout(5)
        yield ours, theirs


def pipe_with(data: bytes) -> int:
    """The reading end of a pipe that holds `data`."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return reader


def test_inputs_come_in_their_order_however_they_were_cut(ends):
    """Also an empty one, and one that comes byte by byte."""
    ours, theirs = ends
    inputs = Inputs(theirs)
    sent = b"".join(pack(INLINE + data) for data in (b"one\n", b"", b"three"))
    for at in range(len(sent)):
        ours.sendall(sent[at : at + 1])
    assert [inputs.take() for _ in range(3)] == [b"one\n", b"", b"three"]


def test_a_pipe_comes_between_inputs_that_were_sent_at_once(ends):
    """Its descriptor is not lost, though all lies in the channel before the first is taken."""
    ours, theirs = ends
    reader = pipe_with(b"large")
    ours.sendall(pack(INLINE + b"before") + pack(PIPED))
    socket.send_fds(ours, [b"\0"], [reader])
    ours.sendall(pack(INLINE + b"after"))
    os.close(reader)
    inputs = Inputs(theirs)
    assert inputs.take() == b"before"
    descriptor = inputs.take()
    assert isinstance(descriptor, int)
    assert os.read(descriptor, 9) == b"large"
    os.close(descriptor)
    assert inputs.take() == b"after"


@pytest.mark.parametrize("sent", [b"", pack(INLINE + b"whole")[:-1], pack(PIPED)])
def test_none_when_the_sender_is_gone(ends, sent):
    """Also in the middle of an input."""
    ours, theirs = ends
    ours.sendall(sent)
    ours.close()
    assert Inputs(theirs).take() is None
