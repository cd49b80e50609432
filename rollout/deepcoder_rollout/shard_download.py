"""One shard from one source, in a thread: received, hashed and written a piece at a time, without the interpreter lock.

Nothing waits without a bound: a source that is silent for `silence_seconds` is given up, and one that is slow at the
deadline.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from deepcoder_api.artifacts import FileDigest

PIECE_BYTES = 1 << 20
Reason = Literal["unreachable", "silent", "gone", "late", "damaged"]


class SourceError(Exception):
    """The source did not give the shard; `reason` says how it failed."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason: Reason = reason


class SourceNotYetError(Exception):
    """The source says that the shard is coming to it."""


class DownloadCancelledError(Exception):
    """Nobody wants the shard any more."""


class NoRoomError(Exception):
    """The file could not be written here: another source does not help."""


@dataclass(frozen=True)
class Bounds:
    """`silence_seconds` from one piece to the next, `deadline` by the monotonic clock, `cancelled` by the caller."""

    silence_seconds: float
    deadline: float
    cancelled: threading.Event


def download(url: str, shard: FileDigest, to: Path, bounds: Bounds) -> None:
    """Write the shard to `to`; nothing is left there after a failure.

    Raises SourceError, SourceNotYetError, DownloadCancelledError and NoRoomError.
    """
    with _connected(url, bounds) as response:
        if response.status == http.client.SERVICE_UNAVAILABLE:
            raise SourceNotYetError(url)
        if response.status == http.client.NOT_FOUND:
            raise SourceError("gone", f"{url}: {_text(response)}")
        if response.status != http.client.OK:
            raise SourceError("unreachable", f"{url}: status {response.status}, {_text(response)}")
        if response.length != shard.bytes:
            raise SourceError("damaged", f"{shard.path}: {response.length} bytes come from {url}, not {shard.bytes}")
        _receive(response, shard, to, bounds)


@contextmanager
def _connected(url: str, bounds: Bounds) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=bounds.silence_seconds)
    try:
        connection.request("GET", parts.path)
        yield connection.getresponse()
    except TimeoutError as error:
        raise SourceError("silent", f"{url}: nothing came for {bounds.silence_seconds:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise SourceError("unreachable", f"{url}: {error!r}") from error
    finally:
        connection.close()


def _receive(response: http.client.HTTPResponse, shard: FileDigest, to: Path, bounds: Bounds) -> None:
    """Write what comes to `to`. Raises SourceError unless it is the shard."""
    digest, piece, missing = hashlib.sha256(), memoryview(bytearray(PIECE_BYTES)), shard.bytes
    with _written(to) as write:
        # Each time what is there, and not until the piece is full: a source that trickles is noticed.
        while count := response.fp.readinto1(piece[:missing]):
            if bounds.cancelled.is_set():
                raise DownloadCancelledError
            if time.monotonic() > bounds.deadline:
                raise SourceError("late", f"{shard.path} was still coming at the deadline")
            digest.update(piece[:count])
            write(piece[:count])
            missing -= count
        if missing:
            raise SourceError("unreachable", f"{shard.path} broke off with {missing} bytes to come")
        if digest.hexdigest() != shard.sha256:
            raise SourceError("damaged", f"{shard.path} came with another checksum than was announced")


@contextmanager
def _written(to: Path) -> Iterator[Callable[[memoryview], None]]:
    try:
        file = to.open("wb", buffering=0)
    except OSError as error:
        raise NoRoomError(f"{to}: {error}") from error

    def write(piece: memoryview) -> None:
        try:
            while piece:
                piece = piece[file.write(piece) :]
        except OSError as error:
            raise NoRoomError(f"{to}: {error}") from error

    try:
        with file:
            yield write
    except BaseException:
        to.unlink(missing_ok=True)
        raise


def _text(response: http.client.HTTPResponse) -> str:
    return response.read(300).decode(errors="replace")
