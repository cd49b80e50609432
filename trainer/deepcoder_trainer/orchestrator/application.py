"""The orchestrator's HTTP routes: parse, delegate, answer. The rules are in the parts that the routes call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deepcoder_api.problems import Strict
from deepcoder_api.rollout import Heartbeat, HeartbeatReply
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import RolloutRegistry
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import CommandResult, RankFailure, RankShards

LONG_POLL_SECONDS = 30.0


@dataclass(frozen=True)
class Routes:
    """What the routes delegate to. `batch_file` gives the file of a step's batch, or None."""

    attempt: int
    ranks: RankChannel
    registry: RolloutRegistry
    weights: PullTransport
    progress: RunProgress
    metrics: RunMetrics
    batch_file: Callable[[int], Path | None]

    def application(self) -> Starlette:
        """All routes."""
        return Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/v1/progress", self._progress),
                Route("/metrics", self._metrics),
                Route("/v1/rollouts", self._heartbeat, methods=["POST"]),
                Route("/v1/ranks/commands/{index:int}", self._command),
                Route("/v1/ranks/batches/{step:int}", self._batch),
                Route("/v1/ranks/results/{index:int}", self._result, methods=["POST"]),
                Route("/v1/ranks/shards", self._shards, methods=["POST"]),
                Route("/v1/ranks/failures", self._failure, methods=["POST"]),
            ],
            exception_handlers={ValidationError: _malformed},
        )

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _progress(self, request: Request) -> Response:
        return _json(self.progress.view(len(self.registry.current)))

    async def _metrics(self, request: Request) -> Response:
        self.metrics.rollouts_ready.set(len(self.registry.current))
        self.metrics.rank_commands.set(self.ranks.waiting)
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def _heartbeat(self, request: Request) -> Response:
        beat = Heartbeat.model_validate_json(await request.body())
        self.weights.join(self.registry.heard(beat))
        wanted = self.registry.wanted
        return _json(HeartbeatReply(attempt=wanted.attempt, version=wanted.version))

    async def _command(self, request: Request) -> Response:
        if refusal := self._other_attempt(request):
            return refusal
        command = await self.ranks.read(request.path_params["index"], LONG_POLL_SECONDS)
        return _json(command) if command else Response(status_code=204)

    async def _batch(self, request: Request) -> Response:
        file = self.batch_file(request.path_params["step"])
        return FileResponse(file) if file else _missing("no batch of this step is at hand")

    async def _result(self, request: Request) -> Response:
        result = CommandResult.model_validate_json(await request.body())
        try:
            self.ranks.finished(request.path_params["index"], result)
        except IndexError:
            return _missing("no such command was issued")
        return Response(status_code=204)

    async def _shards(self, request: Request) -> Response:
        if refusal := self._other_attempt(request):
            return refusal
        self.weights.announced(RankShards.model_validate_json(await request.body()))
        return Response(status_code=204)

    def _other_attempt(self, request: Request) -> Response | None:
        attempt = request.query_params.get("attempt")
        if attempt == str(self.attempt):
            return None
        return JSONResponse({"error": f"this is attempt {self.attempt}, not {attempt}"}, status_code=409)

    async def _failure(self, request: Request) -> Response:
        self.ranks.failed(RankFailure.model_validate_json(await request.body()))
        return Response(status_code=204)


def _json(value: Strict) -> Response:
    return Response(value.model_dump_json(), media_type="application/json")


def _missing(reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=404)


async def _malformed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=422)
