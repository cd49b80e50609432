"""Answers from rollout servers by vLLM's completions route: token ids in and out, asked elsewhere when one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from deepcoder_api.processes import POLICY_NAME
from deepcoder_trainer.orchestrator.failures import GenerationFailed, NoRollout, RequestRefused
from deepcoder_trainer.orchestrator.registry import RolloutRegistry, Server
from deepcoder_trainer.samples import FinishReason

# No server may be slower than this for one answer, however busy: it counts as hung, and the answer is asked elsewhere.
SLOWEST_TOKENS_PER_SECOND = 2.0
SLACK_SECONDS = 300.0
ROLLOUT_SECONDS = 3600.0
ATTEMPTS = 20
REFUSED = frozenset({400, 404, 413, 422})
log = structlog.get_logger("generation")


@dataclass(frozen=True)
class Question:
    """What one sample is asked with: the prompt's token ids, the response limit in tokens, its own seed."""

    id: str
    prompt_ids: tuple[int, ...]
    max_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True)
class Answer:
    """One answer: its tokens (the end token among them), their log-probabilities, and the policy version."""

    text: str
    token_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finish_reason: FinishReason
    version: int


class UnsoundAnswerError(Exception):
    """The server's reply is no sample: it was broken off, or its parts do not fit together."""


class ServerLostError(Exception):
    """The server is gone, hangs or fails; the answer is to be asked elsewhere."""


class Generator:
    """Asks rollout servers. `rollout_seconds` bounds the wait for any server that holds the wanted weights."""

    def __init__(
        self, registry: RolloutRegistry, client: httpx.AsyncClient, *, rollout_seconds: float = ROLLOUT_SECONDS,
        slack_seconds: float = SLACK_SECONDS,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._client = client
        self._rollout_seconds = rollout_seconds
        self._slack_seconds = slack_seconds

    @contextlib.asynccontextmanager
    async def place(self, samples: int) -> AsyncIterator[Place]:
        """A place for the samples of one group: one server, whose prefix cache serves the whole group."""
        place = Place(await self._reserve(samples, ()), samples)
        try:
            yield place
        finally:
            self._registry.release(place.server, place.reserved)

    async def ask(self, question: Question, place: Place) -> Answer:
        """The answer, from the group's place or, when that fails, from other servers.

        Raises NoRollout when no server has the wanted weights before the deadline, RequestRefused for a request that
        no server takes, GenerationFailed when every attempt failed.
        """
        failed: list[Server] = []
        reason = ""
        place.reserved -= 1
        server = place.server
        for _ in range(ATTEMPTS):
            try:
                return await self._ask(question, server)
            except (ServerLostError, UnsoundAnswerError) as error:
                reason = f"{server.name}: {error}"
                log.warning("asking elsewhere", id=question.id, server=server.name, error=str(error))
                self._registry.doubt(server)
                failed.append(server)
            finally:
                self._registry.release(server)
            server = await self._reserve(1, failed)
        self._registry.release(server)
        raise GenerationFailed(f"{question.id}: no sound answer in {ATTEMPTS} attempts; the last: {reason}")

    async def _reserve(self, samples: int, avoid: list[Server] | tuple[()]) -> Server:
        try:
            return await self._registry.reserve(samples, avoid, self._rollout_seconds)
        except TimeoutError:
            alive = ", ".join(f"{s.name} holds {tuple(s.held)}, ready {s.ready}" for s in self._registry.servers)
            raise NoRollout(
                f"no rollout server held attempt {self._registry.wanted.attempt}, version "
                f"{self._registry.wanted.version} for {self._rollout_seconds:.0f} s ({alive or 'none is registered'})"
            ) from None

    async def _ask(self, question: Question, server: Server) -> Answer:
        version = self._registry.wanted.version
        request = asyncio.create_task(self._post(question, server))
        lost = asyncio.create_task(server.lost.wait())
        deadline = self._slack_seconds + question.max_tokens / SLOWEST_TOKENS_PER_SECOND
        try:
            await asyncio.wait({request, lost}, timeout=deadline, return_when="FIRST_COMPLETED")
            if request.done():
                return parse_answer(request.result(), question, version)
            raise ServerLostError("it stopped heartbeating" if lost.done() else f"no answer within {deadline:.0f} s")
        finally:
            request.cancel()
            lost.cancel()
            await asyncio.gather(request, lost, return_exceptions=True)

    async def _post(self, question: Question, server: Server) -> dict[str, Any]:
        body = {
            "model": POLICY_NAME,
            "prompt": list(question.prompt_ids),
            "max_tokens": question.max_tokens,
            "temperature": question.temperature,
            "seed": question.seed,
            "n": 1,
            "logprobs": 0,
            "return_token_ids": True,
        }
        try:
            response = await self._client.post(f"{server.generate_url}/v1/completions", json=body, timeout=None)
        except httpx.HTTPError as error:
            raise ServerLostError(repr(error)) from error
        if response.status_code in REFUSED:
            raise RequestRefused(f"{server.name} refuses {question.id}: {response.text[:500]}")
        if response.status_code != 200:
            raise ServerLostError(f"status {response.status_code}: {response.text[:200]}")
        try:
            return response.json()
        except ValueError as error:
            raise UnsoundAnswerError(f"not JSON: {response.text[:200]}") from error


@dataclass
class Place:
    """Room for a group on one server; `reserved` samples of it are not asked yet."""

    server: Server
    reserved: int


def parse_answer(body: dict[str, Any], question: Question, version: int) -> Answer:
    """The answer in a completions reply. Raises UnsoundAnswerError unless it is one whole sample with all its parts."""
    try:
        choice = body["choices"][0]
        token_ids, text, finish_reason = choice["token_ids"], choice["text"], choice["finish_reason"]
        log_probabilities = choice["logprobs"]["token_logprobs"]
    except (KeyError, IndexError, TypeError) as error:
        raise UnsoundAnswerError(f"the reply lacks {error!r}") from error
    if finish_reason not in ("stop", "length"):
        raise UnsoundAnswerError(f"finish reason {finish_reason!r}")
    if not token_ids or len(token_ids) != len(log_probabilities or ()):
        raise UnsoundAnswerError(
            f"{len(token_ids or ())} token ids with {len(log_probabilities or ())} log-probabilities"
        )  # fmt: skip
    if len(token_ids) > question.max_tokens:
        raise UnsoundAnswerError(f"{len(token_ids)} tokens where at most {question.max_tokens} were asked")
    if not all(isinstance(value, float | int) and math.isfinite(value) for value in log_probabilities):
        raise UnsoundAnswerError("a log-probability is no finite number")
    return Answer(text, tuple(token_ids), tuple(map(float, log_probabilities)), finish_reason, version)
