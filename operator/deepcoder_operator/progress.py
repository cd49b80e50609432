"""Progress, asked of the pods that make it: the orchestrator of a run, the evaluator of an evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx
import structlog
from pydantic import ValidationError

from deepcoder_api.lifecycle import EvaluationProgress, Progress
from deepcoder_api.processes import ORCHESTRATOR_PORT
from deepcoder_operator.index import Key
from deepcoder_operator.observed import PodSeen

_log = structlog.get_logger()

ANSWER_SECONDS = 2.0
# Events come in bursts; the same pod is not asked anew for each of them.
FRESH_SECONDS = 1.0

Answer = TypeVar("Answer", Progress, EvaluationProgress)


@dataclass
class _Heard:
    pod: str
    asked_at: float
    answered_at: float
    answer: Progress | EvaluationProgress | None = None


class ProgressReader:
    """Asks pods, each look with a short deadline, and remembers since when one has been silent."""

    def __init__(self, port: int = ORCHESTRATOR_PORT, clock: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._clock = clock
        self._http = httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False)
        self._heard: dict[Key, _Heard] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._heard.pop(key, None)

    async def read(self, model: type[Answer], key: Key, pods: list[PodSeen]) -> tuple[Answer | None, float]:
        """What the first of the pods answers, and for how many seconds it has given no answer."""
        pod = next((pod for pod in pods if pod.address and pod.phase == "Running" and not pod.terminating), None)
        if pod is None:
            self.forget(key)
            return None, 0.0
        now = self._clock()
        heard = self._heard.get(key)
        if heard is None or heard.pod != pod.uid:
            heard = self._heard[key] = _Heard(pod.uid, asked_at=now - FRESH_SECONDS, answered_at=now)
        if now - heard.asked_at >= FRESH_SECONDS:
            heard.asked_at = now
            heard.answer = await self._ask(model, key, pod)
            if heard.answer is not None:
                heard.answered_at = self._clock()
        answer = heard.answer if isinstance(heard.answer, model) else None
        return answer, max(0.0, now - heard.answered_at)

    async def _ask(self, model: type[Answer], key: Key, pod: PodSeen) -> Answer | None:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        try:
            response = await self._http.get(f"http://{host}:{self._port}/v1/progress")
            response.raise_for_status()
            return model.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            # Not an error: a pod that starts does not answer yet, and one that is silent for long shows in the status.
            _log.debug("no progress", resource=str(key), pod=pod.name, error=str(error))
            return None
