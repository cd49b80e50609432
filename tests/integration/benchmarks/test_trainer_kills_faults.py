"""The way to S3 that can be closed, and the disk that can be filled: real sockets, a real file system."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.trainer_kills import proxy
from benchmarks.trainer_kills.proxy import FaultyWay, Way
from benchmarks.trainer_kills.scarce_disk import ScarceDisk

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def way() -> AsyncIterator[FaultyWay]:
    """A way to a server that sends back what it is sent."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(1000):
            writer.write(content)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    faulty = FaultyWay(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, faulty.serving():
        yield faulty


async def connected(way: FaultyWay) -> Connection:
    """A connection through it."""
    return await asyncio.open_connection("127.0.0.1", int(way.endpoint.rpartition(":")[2]))


async def echoed(connection: Connection, seconds: float = 20.0) -> bytes:
    """What comes back of five bytes; nothing when it is cut off. Raises TimeoutError."""
    reader, writer = connection
    writer.write(b"hello")
    async with asyncio.timeout(seconds):
        try:
            return await reader.readexactly(5)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


async def test_bytes_pass_on_an_open_way(way: FaultyWay) -> None:
    """Both ways, and are counted; the end of one side is the end of the other."""
    connection = await connected(way)
    assert await echoed(connection) == b"hello"
    assert way.bytes == 10
    connection[1].write_eof()
    assert await asyncio.wait_for(connection[0].read(), 20) == b""


async def test_a_way_that_refuses_cuts_off_what_is_there_and_comes_back_at_the_same_place(way: FaultyWay) -> None:
    """As a server that is gone, and is started again."""
    before, endpoint = await connected(way), way.endpoint
    assert await echoed(before) == b"hello"
    await way.become(Way.REFUSING)
    assert await echoed(before) == b""
    with pytest.raises(ConnectionRefusedError):
        await connected(way)
    await way.become(Way.OPEN)
    assert way.endpoint == endpoint
    assert await echoed(await connected(way)) == b"hello"


async def test_a_silent_way_takes_connections_and_passes_nothing_until_it_is_open(way: FaultyWay) -> None:
    """What was sent meanwhile arrives then, on connections old and new."""
    old = await connected(way)
    assert await echoed(old) == b"hello"
    await way.become(Way.SILENT)
    new = await connected(way)
    for connection in (old, new):
        with pytest.raises(TimeoutError):
            await echoed(connection, 0.2)
    await way.become(Way.OPEN)
    for reader, _ in (old, new):
        assert await asyncio.wait_for(reader.readexactly(5), 20) == b"hello"


async def test_a_slow_way_is_late(way: FaultyWay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk, there and back."""
    monkeypatch.setattr(proxy, "SLOW_SECONDS_PER_CHUNK", 0.1)
    connection = await connected(way)
    await way.become(Way.SLOW)
    begun = time.monotonic()
    assert await echoed(connection) == b"hello"
    assert time.monotonic() - begun >= 0.2


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system: needs root")
def test_a_scarce_disk_is_full_to_the_last_byte_until_it_is_freed(tmp_path: Path) -> None:
    """And is gone afterwards, with what lay there."""
    disk = ScarceDisk(tmp_path / "disk", mib=2)
    with disk.mounted():
        kept = disk.folder / "kept"
        kept.write_text("x")
        assert disk.fill() == 1  # of two, less the block of the file
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "more").write_text("x")
        assert kept.read_text() == "x"
        disk.free()
        (disk.folder / "more").write_text("x")
    assert list(disk.folder.iterdir()) == []
