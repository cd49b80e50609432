"""Real HTTP servers that have shards, as trainers and peers, and what goes wrong with such servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from deepcoder_api.rollout import SHARD_ROUTE, Shard, WeightOrder
from deepcoder_rollout.shard_server import shard_application
from deepcoder_rollout.shard_store import ShardStore


def contents(count: int, size: int = 20_000, seed: int = 0) -> dict[str, bytes]:
    """`count` shards of about `size` bytes, each another."""
    return {
        f"model-{number:05d}-of-{count:05d}.safetensors": sha256(f"{seed}/{number}".encode()).digest() * (size // 32)
        for number in range(1, count + 1)
    }


def _nobody(number: int) -> tuple[str, ...]:
    return ()


def order_of(
    files: Mapping[str, bytes], trainer: str, peers: Callable[[int], tuple[str, ...]] = _nobody, *,
    attempt: int = 1, version: int = 3, deadline_seconds: float = 30.0,
) -> WeightOrder:  # fmt: skip
    """An order of all files; `peers` gives those of shard number n, from 0."""
    shards = tuple(
        Shard(
            path=name,
            bytes=len(content),
            sha256=sha256(content).hexdigest(),
            trainer=trainer,
            peers=peers(number),
        )
        for number, (name, content) in enumerate(sorted(files.items()))
    )
    return WeightOrder(attempt=attempt, version=version, shards=shards, deadline_seconds=deadline_seconds)


@dataclass
class Source:
    """A server of `files`. `asked` counts whole answers by file; `fault` says what is wrong with it now."""

    files: dict[str, bytes] = field(default_factory=dict)
    fault: str = ""
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    failures_left: int = 10**9
    failing: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        content = self.files.get(name)
        if self.fault and self.failures_left > 0:
            self.failures_left -= 1
            self.failing.set()
            return await self._wrong(request, content or b"")
        if content is None:
            raise web.HTTPNotFound(text="no such shard")
        self.asked[name] += 1
        return web.Response(body=content)

    async def _wrong(self, request: web.Request, content: bytes) -> web.StreamResponse:
        match self.fault:
            case "damaged":
                return web.Response(body=bytes([content[0] ^ 1]) + content[1:])
            case "short":
                return web.Response(body=content[:-1])
            case "hangs":
                await asyncio.sleep(3600)
            case "not yet":
                raise web.HTTPServiceUnavailable
            case "error":
                raise web.HTTPInternalServerError(text="out of order")
            case "breaks off" | "stalls" | "trickles":
                response = web.StreamResponse(headers={"content-length": str(len(content))})
                await response.prepare(request)
                for byte in content[:100] if self.fault == "trickles" else ():
                    await response.write(bytes([byte]))
                    await asyncio.sleep(0.05)
                await response.write(content[: len(content) // 2])
                if self.fault == "stalls":
                    await asyncio.sleep(3600)
                assert request.transport is not None
                request.transport.abort()
                return response
        raise AssertionError(self.fault)


@contextlib.asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[str]:
    """Serve at a free port of the loopback; gives the URL. What is under way at the end is broken off."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def source(files: Mapping[str, bytes], fault: str = "") -> AsyncIterator[Source]:
    """A Source at its own port."""
    made = Source(dict(files), fault)
    application = web.Application()
    application.router.add_get(SHARD_ROUTE, made.answer)
    async with serving(application) as made.url:
        yield made


@contextlib.asynccontextmanager
async def store_served(folder: Path) -> AsyncIterator[tuple[ShardStore, str]]:
    """An empty store behind the agents' own route; gives it with its URL."""
    store = ShardStore(folder)
    store.clear()
    async with serving(shard_application(store)) as url:
        yield store, url


def held(store: ShardStore) -> dict[str, bytes]:
    """What lies in a store's folder, but what a thread that is given up may be writing for a moment yet."""
    return {file.name: file.read_bytes() for file in store.folder.iterdir() if not file.name.startswith(".")}
