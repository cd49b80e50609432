"""`python -m deepcoder_trainer.weight_server`: serves the shards of weights that the ranks of this trainer pod publish.

A process apart: what it sends must not hold up training or the orchestrator. It only reads, only shards, and only those
of its attempt (api/rollout.py has the route).
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
from pathlib import Path

import structlog
from aiohttp import web

from deepcoder_api.rollout import SHARD_ROUTE
from deepcoder_data.termination import configure_logging

SHUTDOWN_SECONDS = 1.0
_SHARD = re.compile(r"[A-Za-z0-9._-]+\.safetensors")
log = structlog.get_logger("weight_server")


def version_folder(weights: Path, version: int) -> Path:
    """Where the ranks of a pod write their shards of a version."""
    return weights / f"version-{version}"


def application(weights: Path, attempt: int) -> web.Application:
    """The route, over the folder that the ranks write to. aiohttp hands the file to the kernel's sendfile."""

    async def shard(request: web.Request) -> web.StreamResponse:
        wanted = request.match_info
        if (
            wanted["attempt"] != str(attempt)
            or not wanted["version"].isdecimal()
            or not _SHARD.fullmatch(wanted["file"])
        ):
            raise web.HTTPNotFound(text="no shard of this attempt")
        file = version_folder(weights, int(wanted["version"])) / wanted["file"]
        if not await asyncio.to_thread(file.is_file):
            raise web.HTTPNotFound(text="this version is not, or no longer, published here")
        return web.FileResponse(file)

    async def health(request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n")

    served = web.Application()
    served.router.add_get(SHARD_ROUTE, shard)
    served.router.add_get("/healthz", health)
    return served


async def serve(weights: Path, attempt: int, bind: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the address is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(weights, attempt), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, bind, port).start()
        log.info("serving weights", bind=bind, port=port)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Run until told to stop."""
    configure_logging()
    parser = argparse.ArgumentParser(prog="python -m deepcoder_trainer.weight_server", description=__doc__)
    parser.add_argument("--weights-dir", type=Path, required=True, help="folder that the ranks of this pod publish to")
    parser.add_argument("--attempt", type=int, required=True, help="the attempt whose weights they are")
    parser.add_argument("--bind", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.weights_dir, arguments.attempt, arguments.bind, arguments.port))


if __name__ == "__main__":
    main()
