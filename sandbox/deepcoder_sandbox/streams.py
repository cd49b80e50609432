"""The server's ends of a run's pipes and channel: non-blocking, bounded, moved along by `program_run.pump`."""

from __future__ import annotations

import os
import select
import socket
import struct

from deepcoder_sandbox.frames import HEADER, pack, take_frame

CHUNK_BYTES = 1 << 16
SCM_CREDENTIALS = 2
CREDENTIALS, DESCRIPTOR = struct.Struct("3i"), struct.Struct("i")
ANCILLARY_BYTES = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(DESCRIPTOR.size)


class Source:
    """Writes `data` into a pipe and closes it. A reader that wants no more is no error."""

    def __init__(self, descriptor: int, data: bytes) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._rest = memoryview(data)
        if not data:
            self.close()

    def wanted(self) -> int:
        """The poll events that move this stream; 0 once it is closed."""
        return select.POLLOUT if self.descriptor >= 0 else 0

    def move(self) -> None:
        """Write what the pipe takes."""
        try:
            self._rest = self._rest[os.write(self.descriptor, self._rest[: 4 * CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except OSError:
            self._rest = memoryview(b"")  # a program may leave its input unread
        if not self._rest:
            self.close()

    def close(self) -> None:
        """Close the pipe, once."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


class Sink:
    """Reads a pipe to its end, counting all and keeping the last `keep_bytes`."""

    def __init__(self, descriptor: int, keep_bytes: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.data = bytearray()
        self.total_bytes = 0
        self._keep_bytes = keep_bytes

    def wanted(self) -> int:
        """The poll events that move this stream; 0 once it is at its end."""
        return select.POLLIN if self.descriptor >= 0 else 0

    def move(self) -> None:
        """Read what is there."""
        try:
            data = os.read(self.descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
        self.total_bytes += len(data)
        self.data += data
        if len(self.data) > self._keep_bytes:
            del self.data[: len(self.data) - self._keep_bytes]

    def drain(self) -> None:
        """Read all that lies in the pipe of a process that is over."""
        while self.descriptor >= 0:
            before = self.total_bytes
            self.move()
            if self.total_bytes == before:
                return

    def forget(self) -> None:
        """Count and keep from here on."""
        self.data.clear()
        self.total_bytes = 0

    def close(self) -> None:
        """Close the pipe, once."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


class MarkedSink(Sink):
    """A sink whose writer may end a stretch of output with `mark` and a frame: then the two lie in `stretches`.

    It counts and keeps what belongs to none yet.
    """

    def __init__(self, descriptor: int, keep_bytes: int, mark: bytes) -> None:
        super().__init__(descriptor, keep_bytes)
        self.stretches: list[tuple[bytes, bytes]] = []
        self._mark = mark
        self._searched = 0

    def move(self) -> None:
        """Read what is there."""
        super().move()
        while (at := self.data.find(self._mark, self._searched)) >= 0:
            self._searched = at
            frame = take_frame(self.data, at + len(self._mark))
            if frame is None:
                return
            self.stretches.append((bytes(self.data[:at]), frame))
            del self.data[: at + len(self._mark)]
            self.total_bytes, self._searched = len(self.data), 0
        self._searched = max(0, len(self.data) - len(self._mark))


class Channel:
    """Frames to and from a run. `pid` is that of the process that sent the first, as the kernel tells it.

    With `takes_proc` the first descriptor that comes is the run's /proc. Ours sends it with the ready frame, so that no
    later one, which the program may have sent, is ever taken for it.
    """

    def __init__(self, end: socket.socket, max_frame_bytes: int, *, takes_proc: bool) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.pid: int | None = None
        self.socket = end
        self.descriptor = end.fileno()
        self.frames: list[bytes] = []
        self.proc: int | None = None
        self.ended = False
        self.overflowed = False
        self._takes_proc = takes_proc
        self._max_frame_bytes = max_frame_bytes
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")

    def wanted(self) -> int:
        """The poll events that move this stream; 0 once it is at its end."""
        if self.ended:
            return 0
        return select.POLLIN | (select.POLLOUT if self._outgoing else 0)

    @property
    def answered(self) -> bool:
        """Whether a frame has come, or none will."""
        return bool(self.frames) or self.ended

    @property
    def unsent_bytes(self) -> int:
        """What is queued and not yet on its way."""
        return len(self._outgoing)

    def send(self, *payloads: bytes) -> None:
        """Send a frame of each, as far as it goes; the rest is queued."""
        self._outgoing = memoryview(b"".join([self._outgoing, *map(pack, payloads)]))
        self._send_what_goes()

    def move(self) -> None:
        """Send and receive what can be."""
        if self._outgoing:
            self._send_what_goes()
        try:
            data, ancillary, _, _ = self.socket.recvmsg(4 * CHUNK_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, ancillary = b"", []
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                self._keep_proc([number for (number,) in DESCRIPTOR.iter_unpack(content)])
            elif kind == SCM_CREDENTIALS and self.pid is None and data:
                self.pid = CREDENTIALS.unpack(content)[0]
        self.ended = not data
        self._incoming += data
        self._take_frames()

    def _send_what_goes(self) -> None:
        try:
            self._outgoing = self._outgoing[self.socket.send(self._outgoing[: 4 * CHUNK_BYTES]) :]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing = memoryview(b"")  # what it still says will be read

    def hand_over(self) -> None:
        """Stop reading and writing: another process now speaks on this socket. The run's /proc stays."""
        self.socket.close()
        self.ended = True

    def close(self) -> None:
        """Close the socket and what came over it."""
        self.socket.close()
        self.ended = True
        if self.proc is not None:
            os.close(self.proc)
            self.proc = None

    def _keep_proc(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            if self._takes_proc:
                self.proc, self._takes_proc = descriptor, False
            else:
                os.close(descriptor)

    def _take_frames(self) -> None:
        while len(self._incoming) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._incoming)
            if length > self._max_frame_bytes:
                self.ended = self.overflowed = True
                return
            frame = take_frame(self._incoming)
            if frame is None:
                return
            self.frames.append(frame)
