"""The engine of an evaluation: waited for only once something must be asked, its version kept beside the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from deepcoder_api.connections import keepalive_options
from deepcoder_data.store import ObjectMissingError
from deepcoder_evaluation.chat import ChatEngine
from deepcoder_evaluation.folders import ResultFolder
from deepcoder_evaluation.job import EvaluationJob

READY_SECONDS = 3600.0
ANSWER_SECONDS = 7200.0
CONNECT_SECONDS = 30.0
NAMELESS = ("tgi", "tensorrt-llm")
"""Engines that name what they serve by its folder."""
VERSION = "engine.json"
KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True)
class Engines:
    """Where answers come from. `foreign`: somebody else's, of which neither the model's digest nor its files are known.

    `ready_seconds` bounds the wait for it and for the sandbox, `answer_seconds` an answer with all its retries; `key`
    is sent as a bearer token.
    """

    url: str
    foreign: bool = False
    key: str | None = None
    ready_seconds: float = READY_SECONDS
    answer_seconds: float = ANSWER_SECONDS

    @property
    def headers(self) -> dict[str, str]:
        """What every request is sent with."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    @asynccontextmanager
    async def open(self, job: EvaluationJob, folder: ResultFolder) -> AsyncIterator[AwaitedEngine]:
        """The engine for as many answers at once as the job asks for."""
        from deepcoder_api.http_transport import AiohttpTransport  # a quarter of a second of every command line's start

        # An engine that vanished is noticed by its silence, long before an answer's deadline.
        transport = AiohttpTransport(
            connections=job.in_flight + 8,
            socket_options=keepalive_options(),
            certificates=self.url.startswith("https://"),
            trust_env=self.foreign,
        )
        async with httpx.AsyncClient(transport=transport, trust_env=self.foreign) as client:
            engine = ChatEngine(
                self.url,
                job.model_name,
                client,
                deadline_seconds=self.answer_seconds,
                token_ids=job.exact_ids and len(job.lengths) > 1,
                headers=self.headers,
                any_name=job.engine in NAMELESS,
            )
            awaited = AwaitedEngine(engine, folder, self.ready_seconds)
            try:
                yield awaited
            finally:
                awaited.cancel()


async def check_address(engines: Engines, job: EvaluationJob, seconds: float) -> str:
    """The version of the engine, once it is seen to be there, to take the key and to serve the model.

    Raises EngineError.
    """
    async with httpx.AsyncClient(trust_env=engines.foreign) as client:
        engine = ChatEngine(engines.url, job.model_name, client, deadline_seconds=seconds, headers=engines.headers)
        return await engine.wait_ready(seconds)


class AwaitedEngine:
    """One engine, for all who ask."""

    def __init__(self, engine: ChatEngine, folder: ResultFolder, ready_seconds: float) -> None:
        self._engine = engine
        self._folder = folder
        self._seconds = ready_seconds
        self._waiting: asyncio.Task[str] | None = None

    async def ready(self) -> ChatEngine:
        """The engine once it serves the model. Raises EngineError, or StoreError."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._wait())
        await asyncio.shield(self._waiting)
        return self._engine

    async def version(self) -> str:
        """Its version: where nothing was asked, that of the engine which gave the answers. Raises as `ready`."""
        if self._waiting is not None:
            return await asyncio.shield(self._waiting)
        try:
            return str(json.loads(await asyncio.to_thread(self._folder.get, VERSION))["version"])
        except (ObjectMissingError, ValueError, KeyError, TypeError):
            return "unknown"

    def cancel(self) -> None:
        """Nobody waits any longer."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self) -> str:
        version = await self._engine.wait_ready(self._seconds)
        content = json.dumps({"version": version}).encode()
        await asyncio.to_thread(self._folder.put, VERSION, content)
        return version
