"""The operator's own small HTTP server: liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def served(
    port: int, alive: Callable[[], bool], ready: Callable[[], bool], metrics: Callable[[], bytes]
) -> AsyncGenerator[None]:
    """/healthz, /readyz and /metrics while the block runs. Raises OSError when the port is taken."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(ready())

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    application = web.Application()
    application.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


def _answer(good: bool) -> web.Response:
    return web.Response(text="ok" if good else "not yet", status=200 if good else 503)
