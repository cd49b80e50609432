"""The way to the S3 server, over real sockets, that can be closed, fall silent, or become slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import StrEnum
from urllib.parse import urlsplit

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
SLOW_BYTES_PER_SECOND = 256 * 1024
SLOW_SECONDS_PER_CHUNK = 0.3


class Way(StrEnum):
    """What becomes of connections and of the bytes on them."""

    OPEN = "open"
    REFUSING = "refusing"
    """Nobody listens, and what was connected is cut off."""
    SILENT = "silent"
    """Connections are taken and held; no byte passes."""
    SLOW = "slow"
    """Each connection has SLOW_BYTES_PER_SECOND each way, and each chunk comes SLOW_SECONDS_PER_CHUNK late."""


class FaultyWay:
    """A TCP proxy in front of `endpoint`. Its own address stays the same whatever its way."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port = parts.hostname or HOST, parts.port or 80
        self._own_port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self.way = Way.OPEN
        self.bytes = 0

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._own_port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen while inside."""
        await self._listen()
        try:
            yield
        finally:
            await self._close()

    async def become(self, way: Way) -> None:
        """From now on be like this; what is under way too."""
        if way is Way.REFUSING:
            await self._close()
        elif self._server is None:
            await self._listen()
        (self._passes.clear if way is Way.SILENT else self._passes.set)()
        self.way = way

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, HOST, self._own_port, limit=CHUNK_BYTES)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in (open_now := list(self._connections)):
            connection.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes both ways until either side ends."""
        await self._passes.wait()
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port, limit=CHUNK_BYTES)
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(OSError):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._passes.wait()
            if self.way is Way.SLOW:
                await asyncio.sleep(SLOW_SECONDS_PER_CHUNK + len(chunk) / SLOW_BYTES_PER_SECOND)
            writer.write(chunk)
            await writer.drain()
            self.bytes += len(chunk)
