"""`python -m benchmarks.http_clients`: what a request costs the process that asks, by how many are under way.

    python -m benchmarks.http_clients --under-way 64 640 2048

A server in a process of its own answers each request with 4 KB of JSON after half a second to one and a half. Ways:
`httpx` is httpx's own pool without a limit; `aiohttp` is httpx's client over deepcoder_api.http_transport, which all of
ours that has many requests under way uses. Writes JSON: milliseconds of CPU for each request, and the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from benchmarks.machine import describe_machine
from deepcoder_api.http_transport import AiohttpTransport

ROUNDS = 4
QUESTION = {"token_ids": list(range(200))}
ANSWER = json.dumps({"choices": [{"text": "x" * 4000}]}).encode()
START_SECONDS = 30.0
REQUEST_SECONDS = 120.0
KEPT = 256
WAYS: Mapping[str, Callable[[], httpx.AsyncBaseTransport]] = {
    "httpx": lambda: httpx.AsyncHTTPTransport(
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=KEPT), verify=False
    ),
    "aiohttp": AiohttpTransport,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_clients", description=__doc__)
    parser.add_argument("--under-way", type=int, nargs="+", default=[64, 640, 2048], help="requests at once")
    parser.add_argument("--output", type=Path, default=Path("build/bench/http-clients.json"))
    arguments = parser.parse_args()
    machine = describe_machine()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        if not ours.poll(START_SECONDS):
            raise TimeoutError(f"the server is not up after {START_SECONDS:.0f} s")
        url = f"http://127.0.0.1:{ours.recv()}"
        found = [_measured(url, count) for count in arguments.under_way]
    finally:
        server.terminate()
        server.join(10)
    figures = {"machine": machine, "cells": found}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def _measured(url: str, under_way: int) -> dict[str, Any]:
    cost = {name: asyncio.run(_cost(url, make(), under_way)) for name, make in WAYS.items()}
    return {
        "under_way": under_way,
        "cpu_milliseconds": {name: round(1000 * seconds, 3) for name, seconds in cost.items()},
        "httpx_over_aiohttp": round(cost["httpx"] / cost["aiohttp"], 2),
    }


async def _cost(url: str, transport: httpx.AsyncBaseTransport, under_way: int) -> float:
    """Seconds of this process's CPU for a request."""
    room, count = asyncio.Semaphore(under_way), ROUNDS * under_way

    async def ask() -> None:
        async with room:
            (await client.post(url, json=QUESTION)).raise_for_status().json()

    async with httpx.AsyncClient(transport=transport, timeout=REQUEST_SECONDS, trust_env=False) as client:
        begun = time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(ask())
        return (time.process_time() - begun) / count


def _serve(parent: Connection) -> None:
    asyncio.run(_serving(parent))


async def _serving(parent: Connection) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(random.uniform(0.5, 1.5))
        return web.Response(body=ANSWER, content_type="application/json")

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    parent.send(runner.addresses[0][1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
