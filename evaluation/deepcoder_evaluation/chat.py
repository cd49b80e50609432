"""Asking an OpenAI-compatible server: one streamed chat completion an answer, what may be retried, and a deadline."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.back_pressure import BackPressure, asked_pause, own_pause
from deepcoder_evaluation.chat_stream import DONE, AnswerParts, BrokenAnswerError
from deepcoder_evaluation.job import Sampling

RETRIED_STATUSES = frozenset({408, 409, 424, 425, 429, 500, 502, 503, 504, 529})
MAX_BROKEN = 8
"""Broken answers one after the other, with no other trouble between, before the server is taken not to speak this
protocol, or the prompt to be one that it cannot answer."""


class EngineError(Exception):
    """The engine gave no answer. `retryable` says whether another try of the whole evaluation can help."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class _TryAgainError(Exception):
    """This request failed; another may not. `pause` is what the server asked for, in seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class ChatEngine:
    """An engine's chat route. `deadline_seconds` bounds one answer with all its retries.

    `base_url` may end in /v1 or not. `token_ids` asks for the answer's token ids, which vLLM tells. `any_name`: it
    serves one model, under whatever name.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        client: httpx.AsyncClient,
        *,
        deadline_seconds: float,
        token_ids: bool = False,
        headers: Mapping[str, str] | None = None,
        any_name: bool = False,
    ) -> None:
        self._url = base_url.rstrip("/").removesuffix("/v1")
        self._model = model
        self._client = client
        self._deadline = deadline_seconds
        self._token_ids = token_ids
        self._headers = dict(headers or {})
        self._pressure = BackPressure()
        self._limit_name = "max_tokens"
        self._any_name = any_name

    async def wait_ready(self, deadline_seconds: float) -> str:
        """Wait until the engine serves the model; returns its version, or "unknown". Raises EngineError.

        A refusal of the key is final. A server without a list of models is taken to serve it.
        """
        last = "no answer yet"
        try:
            async with asyncio.timeout(deadline_seconds):
                while True:
                    try:
                        response = await self._client.get(f"{self._url}/v1/models", timeout=10, headers=self._headers)
                        if response.status_code in (401, 403):
                            raise EngineError(
                                f"{self._url} refuses the key with {_told(response)}; it is read from OPENAI_API_KEY",
                                retryable=False,
                            )
                        if response.status_code in (404, 405):
                            return await self._version()
                        served = [entry["id"] for entry in response.json()["data"]]
                        if self._model in served or (served and self._any_name):
                            return await self._version()
                        last = f"it serves {served}, not {self._model!r}"
                    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                        last = repr(error)
                    await asyncio.sleep(1)
        except TimeoutError as error:
            raise EngineError(
                f"the engine at {self._url} was not ready after {deadline_seconds:.0f} s: {last}", retryable=True
            ) from error

    async def ask(self, prompt: str, sampling: Sampling, seed: int) -> Answer:
        """One answer to one user message. What may heal is asked again, with the same seed, until the deadline.

        Raises EngineError.
        """
        last, broken = "nothing yet", 0
        try:
            async with asyncio.timeout(self._deadline):
                for attempt in itertools.count():
                    await self._pressure.wait()
                    try:
                        return await self._ask_once(self._body(prompt, sampling, seed))
                    except _TryAgainError as failed:
                        last, broken = str(failed), 0
                        if failed.pause:
                            self._pressure.hold(failed.pause)
                        else:
                            await asyncio.sleep(own_pause(attempt))
                    except BrokenAnswerError as failed:
                        last, broken = str(failed), broken + 1
                        if broken >= MAX_BROKEN:
                            raise EngineError(
                                f"{broken} answers one after the other were broken; last: {last}", retryable=True
                            ) from failed
                        await asyncio.sleep(own_pause(attempt))
        except TimeoutError as error:
            raise EngineError(f"no answer within {self._deadline:g} s; last: {last}", retryable=True) from error
        raise AssertionError("counting does not end")

    def _body(self, prompt: str, sampling: Sampling, seed: int) -> dict[str, Any]:
        system = [{"role": "system", "content": sampling.system_prompt}] if sampling.system_prompt else []
        return {
            "model": self._model,
            "messages": [*system, {"role": "user", "content": prompt}],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **sampling.named,
            self._limit_name: sampling.max_tokens,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"return_token_ids": True} if self._token_ids else {}),
        }

    async def _ask_once(self, body: dict[str, Any]) -> Answer:
        started = time.monotonic()
        parts = AnswerParts()
        try:
            async with self._client.stream(
                "POST", f"{self._url}/v1/chat/completions", json=body, timeout=self._timeout(), headers=self._headers
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    self._refused(response, body)
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    async for data in _events(response):
                        if data == DONE:
                            break
                        parts.add(data)
                else:  # a server that does not stream
                    parts.add((await response.aread()).decode("utf-8", "replace"))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _TryAgainError(repr(error)) from error
        return parts.answer(time.monotonic() - started)

    def _refused(self, response: httpx.Response, body: dict[str, Any]) -> None:
        """Raises what a status other than 200 means."""
        told = _told(response)
        if response.status_code in RETRIED_STATUSES:
            raise _TryAgainError(told, asked_pause(response.headers.get("retry-after")))
        if response.status_code == 400 and "max_tokens" in body and "max_completion_tokens" in response.text:
            self._limit_name = "max_completion_tokens"  # OpenAI's own name for it on its reasoning models
            raise _TryAgainError(told, 0.001)
        raise EngineError(f"the engine refused the request with {told}", retryable=False)

    def _timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self._deadline, connect=min(30.0, self._deadline))

    async def _version(self) -> str:
        try:
            response = await self._client.get(f"{self._url}/version", timeout=10, headers=self._headers)
            return str(response.json()["version"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return "unknown"


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each server-sent event; comments and other fields are left out.

    Lines end at line feeds alone: text may hold what Python takes for line ends, such as U+2028.
    """
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").decode("utf-8", "replace").strip()


def _told(response: httpx.Response) -> str:
    return f"{response.status_code}: {response.text[:300]}"
