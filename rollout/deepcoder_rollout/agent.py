"""The agent beside a vLLM server: starts it, registers with the orchestrator, loads ordered weights, tells readiness,
and passes the shards that it has on to other agents.

Run as `python -m deepcoder_rollout.agent`. The server is a child; when it ends, so does the agent (exit 75), and the
pod starts again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import structlog
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deepcoder_api.lifecycle import EXIT_DONE, EXIT_RETRYABLE
from deepcoder_api.log_stream import standard_error
from deepcoder_api.rollout import Heartbeat, HeartbeatReply, WeightOrder, WeightReceipt
from deepcoder_rollout.holding import Holding, Place
from deepcoder_rollout.shard_server import serving_shards
from deepcoder_rollout.shard_store import NOTHING, ShardStore, Version
from deepcoder_rollout.stalling import StallWatch, tokens_of
from deepcoder_rollout.vllm_server import (
    ServerControl,
    ServerFailedError,
    ServerOptions,
    server_command,
    server_environment,
)
from deepcoder_rollout.weights import Fetched, FetchFailedError, FetchRules, fetch

log = structlog.get_logger("rollout")

START_DEADLINE_SECONDS = 1800.0
HEARTBEAT_SECONDS = 2.0
STALL_SECONDS = 300.0
"""A server that gave no token for so long, though asked to, and is not loading weights, will not go on by itself."""
LOOKS = 30
"""How often it is looked at in that time."""


class Agent:
    """Everything one agent does; the routes and the heartbeat call it."""

    def __init__(
        self, place: Place, *, orchestrator: str, control: ServerControl, shared_memory: Path,
        client: httpx.AsyncClient, rules: FetchRules | None = None,
    ) -> None:  # fmt: skip
        self._place = place
        self._orchestrator = orchestrator
        self._control = control
        self._root = shared_memory
        self._client = client
        self._rules = rules
        self._fetch: asyncio.Task[Fetched] | None = None
        self._fetching: Version = NOTHING
        self.shards = ShardStore(shared_memory)
        self.holding = Holding()

    async def start(self) -> None:
        """Make the server take orders. The base model is loaded: attempt 0, version 0."""
        self.shards.clear()
        await self._control.initialize(str(self._root))
        self.holding.usable = True

    async def obey(self, order: WeightOrder) -> WeightReceipt:
        """Fetch and load a version. A fetch of an older one that is under way is given up for it.

        Raises OrderRefusedError, FetchFailedError (old weights stay) and ServerFailedError (server unusable).
        """
        if self._fetch is not None and (order.attempt, order.version) > self._fetching:
            self._fetch.cancel()
        async with self.holding.loading:
            reason = self.holding.refuses(order)
            if reason is not None:
                raise OrderRefusedError(reason)
            started = time.monotonic()
            fetched = await self._fetched(order)
            fetch_seconds = time.monotonic() - started
            pause_seconds = await self._load(order, self.shards.folder)
        receipt = WeightReceipt(
            attempt=order.attempt, version=order.version, bytes=sum(shard.bytes for shard in order.shards),
            trainer_bytes=fetched.trainer_bytes, peer_bytes=fetched.peer_bytes, failures=dict(fetched.failures),
            fetch_seconds=round(fetch_seconds, 6), pause_seconds=round(pause_seconds, 6),
        )  # fmt: skip
        log.info("weights loaded", **receipt.model_dump())
        return receipt

    async def _fetched(self, order: WeightOrder) -> Fetched:
        self._fetching = (order.attempt, order.version)
        self._fetch = asyncio.create_task(fetch(order, self.shards, self._rules))
        try:
            await asyncio.wait({self._fetch})
            if self._fetch.cancelled():
                raise OrderRefusedError(f"version {order.version} is no longer wanted: a newer one is ordered")
            return self._fetch.result()
        finally:
            self._fetch.cancel()
            self._fetch = None

    async def _load(self, order: WeightOrder, folder: Path) -> float:
        started = time.monotonic()
        self.holding.usable = False
        await self._control.load(
            str(folder), order.version, clear_cache=order.clear_cache, deadline_seconds=order.deadline_seconds
        )
        self.holding.attempt, self.holding.version = order.attempt, order.version
        self.holding.usable = True
        return time.monotonic() - started

    async def heartbeat(self) -> float:
        """Say once that the server lives; returns the seconds to the next. Raises httpx.HTTPError when unheard."""
        beat = Heartbeat(
            server=self._place.server,
            generate_url=self._place.url(self._place.generate_port),
            agent_url=self._place.url(self._place.port),
            shards_url=self._place.url(self._place.shards_port),
            node=self._place.node,
            attempt=self.holding.attempt,
            version=self.holding.version,
            ready=self.holding.usable,
        )
        response = await self._client.post(
            f"{self._orchestrator}/v1/rollouts", json=beat.model_dump(mode="json"), timeout=5.0
        )
        response.raise_for_status()
        reply = HeartbeatReply.model_validate_json(response.content)
        if (reply.attempt, reply.version) > (1, 0):
            self.holding.wanted_attempt, self.holding.wanted_version = reply.attempt, reply.version
        self.holding.heard = True
        return reply.seconds_to_next

    async def heartbeat_forever(self) -> None:
        """Heartbeat until cancelled. An orchestrator that is away (a new attempt) is found again."""
        unheard_since: float | None = None
        while True:
            pause = HEARTBEAT_SECONDS
            try:
                pause = await self.heartbeat()
                if unheard_since is not None:
                    log.info("orchestrator is back", seconds_away=round(time.monotonic() - unheard_since, 1))
                unheard_since = None
            except (httpx.HTTPError, ValidationError) as error:
                if unheard_since is None:
                    log.warning("orchestrator does not answer; asking on", error=repr(error))
                    unheard_since = time.monotonic()
            await asyncio.sleep(pause)

    async def watch_forever(self, stall_seconds: float) -> None:
        """Look at the server's work until cancelled. Raises ServerFailedError when it has stalled.

        The orchestrator asks others for what such a server owes, but only a new start brings it back.
        """
        watch = StallWatch(stall_seconds, time.monotonic())
        while True:
            await asyncio.sleep(stall_seconds / LOOKS)
            if self.holding.loading.locked():
                watch.moved(time.monotonic())
                continue
            with contextlib.suppress(ServerFailedError, ValueError):
                watch.saw(tokens_of(await self._control.metrics()), time.monotonic())
            if watch.is_quiet(time.monotonic()):
                with contextlib.suppress(ServerFailedError):
                    await self._control.generate_one(deadline_seconds=watch.quiet_seconds)
                    watch.moved(time.monotonic())
            stalled = watch.stalled_seconds(time.monotonic())
            if stalled is not None:
                raise ServerFailedError(f"vLLM runs, and has generated nothing for {stalled:.0f} s")


class OrderRefusedError(Exception):
    """The order is from an older attempt or for an older version; obeying it would go back in time."""


def application(agent: Agent) -> Starlette:
    """The agent's routes (api/rollout.py)."""

    async def weights(request: Request) -> Response:
        try:
            order = WeightOrder.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        try:
            receipt = await agent.obey(order)
        except OrderRefusedError as error:
            return JSONResponse({"error": str(error)}, status_code=409)
        except (FetchFailedError, ServerFailedError, TimeoutError) as error:
            log.warning("weights not loaded", attempt=order.attempt, version=order.version, error=repr(error))
            return JSONResponse({"error": repr(error)}, status_code=503)
        return Response(receipt.model_dump_json(), media_type="application/json")

    async def ready(request: Request) -> Response:
        holding = agent.holding
        text = f"attempt {holding.attempt}, version {holding.version}\n"
        return PlainTextResponse(text, status_code=200 if holding.ready else 503)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route("/v1/weights", weights, methods=["POST"]),
            Route("/readyz", ready),
            Route("/healthz", health),
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deepcoder_rollout.agent", description=__doc__)
    parser.add_argument("--orchestrator", required=True, help="URL of the orchestrator")
    parser.add_argument("--model-dir", required=True, help="folder of the base model")
    parser.add_argument("--host", required=True, help="address that others reach this server by")
    parser.add_argument("--bind", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="the agent's port")
    parser.add_argument("--generate-port", type=int, required=True, help="vLLM's port")
    parser.add_argument("--shards-port", type=int, required=True, help="port that other agents read shards at")
    parser.add_argument("--max-model-length", type=int, required=True, help="longest prompt and response, tokens")
    parser.add_argument("--tensor-parallel", type=int, default=1)
    parser.add_argument("--gpu-memory-utilization", type=float, default=0.9)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--server", default=os.environ.get("HOSTNAME", "rollout"), help="stable id of this server")
    node = os.environ.get("NODE_NAME") or platform.node()
    parser.add_argument("--node", default=node, help="name of the machine: servers of one machine share a fetch")
    parser.add_argument("--shared-memory", type=Path, default=Path("/dev/shm/deepcoder-weights"))
    stall = "seconds after which a server that generates nothing, though asked to, is given up"
    parser.add_argument("--stall-seconds", type=float, default=STALL_SECONDS, help=stall)
    parser.add_argument("extra", nargs="*", help="further arguments of vLLM's server, after --")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> int:
    options = ServerOptions(
        model_directory=arguments.model_dir,
        host=arguments.bind,
        port=arguments.generate_port,
        max_model_length=arguments.max_model_length,
        tensor_parallel=arguments.tensor_parallel,
        gpu_memory_utilization=arguments.gpu_memory_utilization,
        precision=arguments.precision,
        gpus=arguments.gpus,
        extra_arguments=arguments.extra,
    )
    process = await asyncio.create_subprocess_exec(
        *server_command(options), env=server_environment(options.gpus), start_new_session=True
    )
    # A load may take as long as its order allows; each call passes its own deadline.
    async with httpx.AsyncClient(timeout=httpx.Timeout(30.0), trust_env=False) as client:
        place = Place(
            arguments.server, arguments.node, arguments.host, arguments.port, arguments.generate_port,
            arguments.shards_port,
        )  # fmt: skip
        memory = arguments.shared_memory / arguments.server
        agent = Agent(
            place,
            orchestrator=arguments.orchestrator,
            control=ServerControl(f"http://127.0.0.1:{arguments.generate_port}", client),
            shared_memory=memory,
            client=client,
        )
        try:
            async with serving_shards(agent.shards, arguments.bind, arguments.shards_port):
                return await _serve(agent, process, arguments)
        finally:
            await _end(process)
            shutil.rmtree(memory, ignore_errors=True)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: ours ends the agent, and vLLM with it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(agent: Agent, process: asyncio.subprocess.Process, arguments: argparse.Namespace) -> int:
    server = _Server(uvicorn.Config(application(agent), host=arguments.bind, port=arguments.port, log_level="warning"))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    routes = asyncio.create_task(server.serve())
    life = asyncio.create_task(_live(agent, process, arguments.stall_seconds))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({routes, life, stopped}, return_when=asyncio.FIRST_COMPLETED)
    code = EXIT_DONE if stop.is_set() else EXIT_RETRYABLE
    if life.done() and not life.cancelled() and life.exception() is not None:
        log.error("rollout server failed", error=repr(life.exception()))
    server.should_exit = True
    for task in (life, stopped):
        task.cancel()
    await asyncio.gather(routes, life, stopped, return_exceptions=True)
    return code


async def _live(agent: Agent, process: asyncio.subprocess.Process, stall_seconds: float) -> None:
    control = agent._control
    await control.wait_healthy(process, START_DEADLINE_SECONDS)
    await agent.start()
    log.info("server is up")
    ended = asyncio.create_task(process.wait())
    watch = asyncio.create_task(agent.watch_forever(stall_seconds))
    beats = asyncio.create_task(agent.heartbeat_forever())
    try:
        await asyncio.wait({ended, watch, beats}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise ServerFailedError(f"vLLM ended with exit code {ended.result()}")
        await (watch if watch.done() else beats)
    finally:
        for task in (ended, watch, beats):
            task.cancel()


async def _end(process: asyncio.subprocess.Process, grace_seconds: float = 10.0) -> None:
    """Ask vLLM to end, then force it and whatever it left behind."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def main() -> None:
    """Run until told to stop or until vLLM ends."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(standard_error()),
    )
    sys.exit(asyncio.run(_run(_arguments())))


if __name__ == "__main__":
    main()
