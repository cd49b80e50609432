"""Answers from rollout servers by vLLM's token route: token ids in and out, asked elsewhere when one is lost.

An answer goes on while its server takes new weights over; the server says which tokens which version sampled.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from deepcoder_api.processes import POLICY_NAME
from deepcoder_trainer.orchestrator.failures import GenerationFailed, NoRollout, RequestRefused
from deepcoder_trainer.orchestrator.racing import HappenedFirst, unless
from deepcoder_trainer.orchestrator.registry import RolloutRegistry, Server
from deepcoder_trainer.samples import FinishReason

# No server may be slower than this for one answer, however busy: it counts as hung, and the answer is asked elsewhere.
SLOWEST_TOKENS_PER_SECOND = 2.0
SLACK_SECONDS = 300.0
ROLLOUT_SECONDS = 3600.0
ATTEMPTS = 20
REFUSED = frozenset({400, 404, 413, 422})
UNNAMED_WEIGHTS = "default"
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
    """One answer: its tokens (the end token among them), with the log-probability and the policy version of each."""

    text: str
    token_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    versions: tuple[int, ...]
    finish_reason: FinishReason


class UnsoundAnswerError(Exception):
    """The server's reply is no sample: it was broken off, or its parts do not fit together."""


class ServerLostError(Exception):
    """The server is gone, hangs or fails; the answer is to be asked elsewhere."""


class Generator:
    """Asks rollout servers. `rollout_seconds` bounds the wait for any server that holds the wanted weights."""

    def __init__(
        self, registry: RolloutRegistry, client: httpx.AsyncClient, *, rollout_seconds: float = ROLLOUT_SECONDS,
        slack_seconds: float = SLACK_SECONDS, keep_kv: bool = False,
    ) -> None:  # fmt: skip
        """keep_kv: servers keep what they computed under older weights; no answer that is asked later shares it."""
        self._keep_kv = keep_kv
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
        deadline = self._slack_seconds + question.max_tokens / SLOWEST_TOKENS_PER_SECOND
        try:
            return parse_answer(await unless(server.lost, self._post(question, server), deadline), question)
        except HappenedFirst:
            raise ServerLostError("it stopped heartbeating") from None
        except TimeoutError:
            raise ServerLostError(f"no answer within {deadline:.0f} s") from None

    async def _post(self, question: Question, server: Server) -> dict[str, Any]:
        body = {
            "model": POLICY_NAME,
            "token_ids": list(question.prompt_ids),
            "output_mode": "text",
            "sampling_params": {
                "max_tokens": question.max_tokens,
                "temperature": question.temperature,
                "seed": question.seed,
                "logprobs": 0,
            },
        }
        if self._keep_kv:
            body["cache_salt"] = f"{server.held.attempt}-{server.held.version}"
        try:
            response = await self._client.post(f"{server.generate_url}/inference/v1/generate", json=body, timeout=None)
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


def parse_answer(body: dict[str, Any], question: Question) -> Answer:
    """The answer in a reply of the token route. Raises UnsoundAnswerError unless it is one whole sample."""
    try:
        choice = body["choices"][0]
        token_ids, text, finish_reason = choice["token_ids"], choice["text"], choice["finish_reason"]
        log_probabilities = [token["logprob"] for token in choice["logprobs"]["content"]]
        spans = choice["weight_versions"]
    except (KeyError, IndexError, TypeError) as error:
        raise UnsoundAnswerError(f"the reply lacks {error!r}") from error
    if finish_reason not in ("stop", "length"):
        raise UnsoundAnswerError(f"finish reason {finish_reason!r}")
    if not token_ids or len(token_ids) != len(log_probabilities):
        raise UnsoundAnswerError(f"{len(token_ids or ())} token ids with {len(log_probabilities)} log-probabilities")
    if len(token_ids) > question.max_tokens:
        raise UnsoundAnswerError(f"{len(token_ids)} tokens where at most {question.max_tokens} were asked")
    if not all(isinstance(value, float | int) and math.isfinite(value) for value in log_probabilities):
        raise UnsoundAnswerError("a log-probability is no finite number")
    versions = token_versions(spans, len(token_ids))
    return Answer(text, tuple(token_ids), tuple(map(float, log_probabilities)), versions, finish_reason)


def token_versions(spans: Sequence[Mapping[str, Any]], tokens: int) -> tuple[int, ...]:
    """The version of each token, from vLLM's spans [start, end). Raises UnsoundAnswerError unless they cover all.

    A server that has not been given weights yet says UNNAMED_WEIGHTS: it holds the base model.
    """
    versions: list[int] = []
    try:
        for span in spans:
            if span["start"] != len(versions):
                raise ValueError(f"one begins at token {span['start']} after {len(versions)} tokens")
            version = 0 if span["version"] == UNNAMED_WEIGHTS else int(span["version"])
            versions += [version] * (span["end"] - span["start"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnsoundAnswerError(f"its spans of weight versions: {error!r}") from error
    if len(versions) != tokens:
        raise UnsoundAnswerError(f"its spans of weight versions cover {len(versions)} of {tokens} tokens")
    return tuple(versions)
