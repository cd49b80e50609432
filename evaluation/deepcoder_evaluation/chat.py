"""Asking an OpenAI-compatible server: one chat completion an answer, with what may be retried and a deadline."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import httpx

from deepcoder_api.evaluation import EvaluationSampling
from deepcoder_evaluation.answers import Answer

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
WHOLE = frozenset({"stop", "length"})
MAX_PAUSE_SECONDS = 30.0


class EngineError(Exception):
    """The engine gave no answer. `retryable` says whether another try of the whole evaluation can help."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class _TryAgainError(Exception):
    """This request failed; another may not. `retry_after` is the header of that name."""

    def __init__(self, reason: str, retry_after: str | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ChatEngine:
    """An engine's chat route. `deadline_seconds` bounds one answer with all its retries."""

    def __init__(self, base_url: str, model: str, client: httpx.AsyncClient, *, deadline_seconds: float) -> None:
        self._url = base_url.rstrip("/")
        self._model = model
        self._client = client
        self._deadline = deadline_seconds

    async def wait_ready(self, deadline_seconds: float) -> str:
        """Wait until the engine serves the model; returns its version, or "unknown". Raises EngineError."""
        last = "no answer yet"
        try:
            async with asyncio.timeout(deadline_seconds):
                while True:
                    try:
                        response = await self._client.get(f"{self._url}/v1/models", timeout=10)
                        served = [entry["id"] for entry in response.json()["data"]]
                        if self._model in served:
                            return await self._version()
                        last = f"it serves {served}, not {self._model!r}"
                    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                        last = repr(error)
                    await asyncio.sleep(1)
        except TimeoutError as error:
            raise EngineError(
                f"the engine at {self._url} was not ready after {deadline_seconds:.0f} s: {last}", retryable=True
            ) from error

    async def ask(self, prompt: str, sampling: EvaluationSampling, seed: int) -> Answer:
        """One answer to one user message, without a system prompt.

        What may heal is asked again, with the same seed, until the deadline. Raises EngineError.
        """
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        }
        last = "nothing yet"
        try:
            async with asyncio.timeout(self._deadline):
                for attempt in itertools.count():
                    try:
                        return await self._ask_once(body)
                    except _TryAgainError as failed:
                        last = str(failed)
                        await asyncio.sleep(_pause(attempt, failed.retry_after))
        except TimeoutError as error:
            raise EngineError(f"no answer within {self._deadline:g} s; last: {last}", retryable=True) from error
        raise AssertionError("counting does not end")

    async def _ask_once(self, body: dict[str, Any]) -> Answer:
        started = time.monotonic()
        try:
            response = await self._client.post(f"{self._url}/v1/chat/completions", json=body, timeout=self._deadline)
        except httpx.HTTPError as error:
            raise _TryAgainError(repr(error)) from error
        if response.status_code == 200:
            return _answer(response, time.monotonic() - started)
        told = f"{response.status_code}: {response.text[:300]}"
        if response.status_code not in RETRIED_STATUSES:
            raise EngineError(f"the engine refused the request with {told}", retryable=False)
        raise _TryAgainError(told, response.headers.get("retry-after"))

    async def _version(self) -> str:
        try:
            response = await self._client.get(f"{self._url}/version", timeout=10)
            return str(response.json()["version"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return "unknown"


def _answer(response: httpx.Response, seconds: float) -> Answer:
    try:
        body: dict[str, Any] = response.json()
        choice = body["choices"][0]
        finish_reason, text = choice["finish_reason"], choice["message"].get("content") or ""
        usage = body.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineError(
            f"the engine's answer is not a chat completion ({error!r}): {response.text[:300]}", retryable=False
        ) from error
    if finish_reason not in WHOLE:  # broken off by the engine: the model did not say this
        raise _TryAgainError(f"the answer was broken off: finish reason {finish_reason!r}")
    return Answer(
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=usage.get("prompt_tokens", 0),
        answer_tokens=usage.get("completion_tokens", 0),
        seconds=seconds,
    )


def _pause(attempt: int, retry_after: str | None) -> float:
    try:
        asked = float(retry_after or 0)
    except ValueError:  # an HTTP date; ours is as good
        asked = 0.0
    return min(MAX_PAUSE_SECONDS, max(asked, 0.25 * 2 ** min(attempt, 10)))
