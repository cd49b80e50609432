"""An Evaluation as local processes: preflight, the engine, then the evaluator until the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from pydantic import ValidationError

from deepcoder_api.lifecycle import FINISHED, EvaluationProgress, TerminationMessage
from deepcoder_api.processes import engine_process, evaluation_preflight_process, evaluator_process
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_cli.local.addresses import free_port, local_addresses
from deepcoder_cli.local.grading import LocalGrading
from deepcoder_cli.local.supervision import LocalProcess, end_all, run_process, start_process

PREFLIGHT_SECONDS = 600.0
FETCH_SECONDS = 24 * 3600.0
POLL_SECONDS = 0.5


class LocalEvaluation:
    """Runs one Evaluation; `say` gets a sentence at each phase, `show` each new progress."""

    def __init__(
        self,
        evaluation: ResolvedEvaluation,
        state: Path,
        grading: LocalGrading,
        secrets: Mapping[str, str],
        say: Callable[[str], None],
        show: Callable[[EvaluationProgress], None],
    ) -> None:
        self._evaluation = evaluation
        self._state = state
        self._grading = grading
        self._secrets = secrets
        self._say = say
        self._show = show
        self._client = httpx.Client(timeout=2.0, trust_env=False)
        self._port = free_port()
        self._engine_port = free_port()
        self._at = local_addresses(
            state, orchestrator_port=self._port, sandbox=grading.url, engine_port=self._engine_port
        )

    def execute(self) -> TerminationMessage:
        """Run to the end; the message names the report. Raises ProcessFailedError."""
        self._state.mkdir(parents=True, exist_ok=True)
        Path(self._at.config_path).write_text(self._evaluation.model_dump_json())
        logs = self._state / "logs"
        self._say("preflight: model, bucket, key and benchmarks")
        preflight = evaluation_preflight_process(self._evaluation, self._at)
        checked = run_process(preflight, logs, self._secrets, PREFLIGHT_SECONDS)
        if checked is not None and checked.reason == FINISHED:
            self._say("it is finished already; nothing is started")
            return checked
        serves = self._evaluation.spec.model.endpoint is None
        engines = [engine_process(self._evaluation, self._at, port=self._engine_port)] if serves else []
        for before in (before for engine in engines for before in engine.before):
            self._say("fetching the model")
            run_process(before, logs, self._secrets, FETCH_SECONDS)
        self._say(f"starting the {'engine' if serves else 'evaluator'} (logs: {logs})")
        evaluator = evaluator_process(self._evaluation, self._at, port=self._port)
        started: list[LocalProcess] = []
        try:
            for process in (*engines, evaluator):
                started.append(start_process(process, logs, self._secrets))
            message = self._follow(*started)
        finally:
            end_all(started)
        if message is None or message.uri is None:
            raise RuntimeError("the evaluator ended well but named no report; this is a defect")
        return message

    def _follow(self, *processes: LocalProcess) -> TerminationMessage | None:
        *engines, evaluator = processes
        while evaluator.running:
            for engine in engines:
                if not engine.running:
                    raise engine.failure()
            self._grading.revive()
            self._poll()
            time.sleep(POLL_SECONDS)
        return evaluator.wait()

    def _poll(self) -> None:
        try:
            response = self._client.get(f"http://127.0.0.1:{self._port}/v1/progress")
            if response.status_code == 200:
                self._show(EvaluationProgress.model_validate_json(response.content))
        except (httpx.HTTPError, ValidationError):
            return  # not up yet
