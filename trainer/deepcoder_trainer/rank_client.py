"""A rank's side of rank_protocol over HTTP: commands and batches in, results and last words out. Synchronous."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import structlog
from pydantic import TypeAdapter, ValidationError

from deepcoder_trainer.rank_protocol import Command, CommandResult, RankFailure, RankShards

LONG_POLL_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
RETRY_SECONDS = 1.0
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
log = structlog.get_logger("ranks")


class OrchestratorAwayError(Exception):
    """The orchestrator has not answered for too long; another attempt may reach one."""


class OrchestratorRefusedError(Exception):
    """The orchestrator belongs to another attempt or does not understand this rank. Asking it again does not help."""


class RankClient:
    """The orchestrator as one rank sees it. Raises OrchestratorAwayError or OrchestratorRefusedError, no other."""

    def __init__(
        self,
        url: str,
        *,
        rank: int,
        attempt: int,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._rank = rank
        self._attempt = attempt
        self._patience = patience_seconds
        timeout = httpx.Timeout(30.0, read=2 * LONG_POLL_SECONDS)
        self._http = httpx.Client(base_url=url, timeout=timeout, transport=transport, trust_env=False)

    def command(self, index: int) -> Command:
        """The command at `index`, once it is there: waits as long as the orchestrator answers that it is not yet."""
        parameters = {"rank": self._rank, "attempt": self._attempt}
        while True:
            answer = self._answered(
                f"ask for command {index}", lambda: self._http.get(f"/v1/ranks/commands/{index}", params=parameters)
            )
            if answer.status_code == httpx.codes.NO_CONTENT:
                continue
            try:
                return _COMMAND.validate_json(answer.content)
            except ValidationError as error:
                raise OrchestratorRefusedError(f"command {index} is not one this rank knows: {error}") from error

    def fetch_batch(self, step: int, path: Path) -> None:
        """Write the batch of `step` to `path`."""
        answer = self._answered(f"fetch batch {step}", lambda: self._http.get(f"/v1/ranks/batches/{step}"))
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_bytes(answer.content)
        os.replace(unfinished, path)

    def report(self, index: int, result: CommandResult) -> None:
        """Tell what command `index` came to."""
        self._post(f"/v1/ranks/results/{index}", result.model_dump_json())

    def published(self, shards: RankShards) -> None:
        """Tell which shards of a version this rank has written."""
        self._post(f"/v1/ranks/shards?attempt={self._attempt}", shards.model_dump_json())

    def fail(self, failure: RankFailure) -> None:
        """Say why this rank cannot go on."""
        self._post("/v1/ranks/failures", failure.model_dump_json())

    def _post(self, path: str, body: str) -> None:
        headers = {"content-type": "application/json"}
        self._answered(f"post to {path}", lambda: self._http.post(path, content=body, headers=headers))

    def _answered(self, what: str, send: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        while True:
            problem: object
            try:
                answer = send()
            except httpx.TransportError as error:
                problem = repr(error)
            else:
                if answer.is_success:
                    return answer
                problem = f"{answer.status_code} {answer.text[:500]}"
                if not answer.is_server_error:
                    raise OrchestratorRefusedError(f"could not {what}: {problem}")
            if time.monotonic() >= deadline:
                raise OrchestratorAwayError(f"could not {what} for {self._patience:.0f} s: {problem}")
            log.warning("orchestrator not answering", what=what, problem=problem)
            time.sleep(RETRY_SECONDS)
