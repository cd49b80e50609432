"""Routes served beside the work of a process, and the watch over rollout servers that report to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
import uvicorn
from starlette.applications import Starlette

from deepcoder_api.connections import listener
from deepcoder_trainer.orchestrator.registry import RolloutRegistry, Server

CLOSE_SECONDS = 3
log = structlog.get_logger("orchestrator")


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: ours stops the work first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(application: Starlette, bind: str, port: int) -> AsyncIterator[None]:
    """Serve while inside. Raises OSError when the address is taken."""
    at = listener(bind, port)
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=75,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve([at]))
    log.info("serving", bind=bind, port=at.getsockname()[1])
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait({serving}, timeout=2 * CLOSE_SECONDS)
        at.close()


async def expire_silent(registry: RolloutRegistry, gone: Callable[[Server], None] = lambda server: None) -> None:
    """Drop rollout servers that have fallen silent, until cancelled; `gone` is told each."""
    while True:
        for server in registry.expire():
            log.warning("a rollout server is gone", server=server.name, in_flight=server.in_flight)
            gone(server)
        await asyncio.sleep(1.0)
