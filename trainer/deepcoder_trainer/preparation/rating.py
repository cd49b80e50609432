"""How many answers of the base model solve a problem: sampled and graded as in training, once, and kept in S3.

A problem's answers are one object, written when all of them are graded. Whoever rates it again under the same
conditions reads them: a preparation that was killed, or that of another run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import httpx
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deepcoder_api.connections import keepalive_options
from deepcoder_api.http_transport import AiohttpTransport
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_api.rollout import Heartbeat, HeartbeatReply
from deepcoder_data.store import ConflictError, ObjectMissingError, ObjectStore
from deepcoder_data.termination import PermanentError, RetryableError
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.cursor import Draw
from deepcoder_trainer.orchestrator.failures import OrchestratorError, RequestRefused
from deepcoder_trainer.orchestrator.generation import ROLLOUT_SECONDS, Generator
from deepcoder_trainer.orchestrator.grading import Grader
from deepcoder_trainer.orchestrator.journal import from_parquet, to_parquet
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.prompts import PromptRenderer
from deepcoder_trainer.orchestrator.registry import BASE_MODEL, SAMPLES_PER_SERVER, RolloutRegistry
from deepcoder_trainer.orchestrator.sampling import Sampler
from deepcoder_trainer.orchestrator.serving import expire_silent, serving
from deepcoder_trainer.orchestrator.storage import stored
from deepcoder_trainer.preparation.rating_conditions import RatingConditions, problem_key
from deepcoder_trainer.preparation.selection import Refusal
from deepcoder_trainer.samples import GradedBatch, Sample

log = structlog.get_logger("prepare")


@dataclass(frozen=True)
class Rating:
    """What came of the answers to one problem."""

    accepted: int
    truncated: int


class Rater:
    """Rates problems, any number at once. `most` is how many keep the servers busy."""

    def __init__(
        self,
        sampler: Sampler,
        problems: dict[str, Problem],
        store: ObjectStore,
        folder: str,
        stage: ResolvedStage,
        most: int,
    ) -> None:
        """`sampler` finds in `problems` what is rated, as in `stage`; answers are kept under `folder`."""
        self._sampler = sampler
        self._problems = problems
        self._store = store
        self._folder = folder
        self._stage = stage
        self.most = most
        self.sampled = 0
        self.found = 0

    async def rate(self, problem: Problem) -> Rating | Refusal:
        """The rating; a refusal when a server does not take what is asked of it.

        Raises RetryableError when no server answers or grades in time or the bucket is away, else PermanentError.
        """
        try:
            return await self._rate(problem)
        except RequestRefused as error:
            return Refusal("refused_when_rated", str(error))
        except OrchestratorError as failure:
            kind = RetryableError if failure.outcome == "retryable" else PermanentError
            raise kind(failure.reason, f"problems cannot be rated by the base model: {failure}") from failure

    async def _rate(self, problem: Problem) -> Rating:
        uri = f"{self._folder}/{problem_key(problem)}.parquet"
        content = await stored(lambda: self._read(uri), f"read {uri}")
        if content is not None:
            self.found += 1
            return _rating(from_parquet(content).samples)
        self._problems[problem.id] = problem
        try:
            samples = await self._sampler.group(Draw(problem.id, 0), self._stage)
        finally:
            del self._problems[problem.id]
        written = await stored(lambda: self._write(uri, to_parquet(GradedBatch(samples))), f"write {uri}")
        self.sampled += 1
        return _rating(from_parquet(written).samples)

    def _read(self, uri: str) -> bytes | None:
        try:
            return self._store.get_bytes(uri)
        except ObjectMissingError:
            return None

    def _write(self, uri: str, content: bytes) -> bytes:
        """What is durable: another preparation's answers when they came first, so that both rate the same."""
        try:
            self._store.put_bytes(uri, content, if_absent=True)
        except ConflictError:
            return self._store.get_bytes(uri)
        return content


@contextlib.asynccontextmanager
async def rating(
    run: ResolvedRun, conditions: RatingConditions, store: ObjectStore, prompt_of: PromptRenderer,
    sandbox: SandboxClient, *, bind: str, port: int, rollout_seconds: float = ROLLOUT_SECONDS,
) -> AsyncIterator[Rater]:  # fmt: skip
    """A rater whose rollout servers report to `port`, as they will to the orchestrator. Raises OSError for the port.

    Servers with the base model are asked, no others; one must be there within `rollout_seconds`.
    """
    registry, problems = RolloutRegistry(BASE_MODEL, time.monotonic), dict[str, Problem]()
    transport = AiohttpTransport(socket_options=keepalive_options())
    most = max(1, SAMPLES_PER_SERVER * run.spec.rollout.replicas // conditions.samples_per_prompt)
    async with (
        httpx.AsyncClient(transport=transport, timeout=30.0, trust_env=False) as client,
        serving(application(registry), bind, port),
    ):
        sampler = Sampler(
            problems=problems, prompt_of=prompt_of,
            generator=Generator(registry, client, rollout_seconds=rollout_seconds),
            grader=Grader(sandbox, run.spec.sandbox), metrics=RunMetrics(),
        )  # fmt: skip
        folder = conditions.answers_uri(run.spec.storage.uri)
        watching = asyncio.create_task(expire_silent(registry))
        try:
            yield Rater(sampler, problems, store, folder, conditions.stage(run.stages[0]), most)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def application(registry: RolloutRegistry) -> Starlette:
    """The route that rollout servers report to (api/rollout.py). They keep the base model: no weights are ordered."""

    async def heartbeat(request: Request) -> Response:
        try:
            beat = Heartbeat.model_validate_json(await request.body())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        registry.heard(beat)
        reply = HeartbeatReply(attempt=registry.wanted.attempt, version=registry.wanted.version)
        return Response(reply.model_dump_json(), media_type="application/json")

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/v1/rollouts", heartbeat, methods=["POST"]), Route("/healthz", health)])


def _rating(samples: Sequence[Sample]) -> Rating:
    return Rating(sum(sample.reward > 0 for sample in samples), sum(sample.truncated for sample in samples))
