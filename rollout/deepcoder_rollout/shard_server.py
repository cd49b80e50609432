"""Shards for other agents, at a port of its own: who may read shards there can give no orders (api/rollout.py)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from deepcoder_api.rollout import SHARD_ROUTE
from deepcoder_rollout.shard_store import GoneError, NotYetError, ShardStore

SHUTDOWN_SECONDS = 1.0


def shard_application(store: ShardStore) -> web.Application:
    """The route over what the store holds. aiohttp hands the file to the kernel's sendfile."""

    async def shard(request: web.Request) -> web.StreamResponse:
        asked = request.match_info
        if not (asked["attempt"].isdecimal() and asked["version"].isdecimal()):
            raise web.HTTPNotFound(text="attempt and version are numbers")
        try:
            return web.FileResponse(store.find((int(asked["attempt"]), int(asked["version"])), asked["file"]))
        except NotYetError:
            raise web.HTTPServiceUnavailable(text="not here yet", headers={"Retry-After": "1"}) from None
        except GoneError:
            raise web.HTTPNotFound(text="not here, and not to come") from None

    served = web.Application()
    served.router.add_get(SHARD_ROUTE, shard)
    return served


@contextlib.asynccontextmanager
async def serving_shards(store: ShardStore, bind: str, port: int) -> AsyncIterator[None]:
    """Serve while inside. Raises OSError when the address is taken."""
    runner = web.AppRunner(shard_application(store), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, bind, port).start()
        yield
    finally:
        await runner.cleanup()
