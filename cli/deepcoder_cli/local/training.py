"""A TrainingRun as local processes: preflight, preparation, then trainer and rollout servers until the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import ValidationError

from deepcoder_api.lifecycle import Progress
from deepcoder_api.processes import preflight_process, prepare_process, rollout_process
from deepcoder_api.resolve import ResolvedRun
from deepcoder_cli.local.addresses import LOOPBACK, free_port, local_addresses
from deepcoder_cli.local.grading import LocalGrading
from deepcoder_cli.local.identity import attempts
from deepcoder_cli.local.rollouts import LocalRollouts
from deepcoder_cli.local.supervision import ProcessFailedError, run_process, start_process
from deepcoder_cli.local.trainers import LocalTrainers

PREFLIGHT_SECONDS = 600.0
PREPARATION_SECONDS = 24 * 3600.0
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class LocalRunResult:
    """What a local run made: the model in S3, the attempt that finished it, the best checkpoint if it validates."""

    model_uri: str
    attempt: int
    best_checkpoint: str | None = None


class LocalTrainingRun:
    """Runs one TrainingRun; `say` gets a sentence at each phase, `show` each new progress."""

    def __init__(
        self,
        run: ResolvedRun,
        state: Path,
        grading: LocalGrading,
        secrets: Mapping[str, str],
        say: Callable[[str], None],
        show: Callable[[Progress], None],
    ) -> None:
        self._run = run
        self._state = state
        self._grading = grading
        self._secrets = secrets
        self._say = say
        self._show = show
        self._client = httpx.Client(timeout=2.0, trust_env=False)
        self._orchestrator_port = free_port()
        self._at = local_addresses(
            state, orchestrator_port=self._orchestrator_port, sandbox=grading.url, engine_port=free_port()
        )

    def execute(self) -> LocalRunResult:
        """Run to the end. Raises ProcessFailedError when a failure cannot heal or restarts are used up."""
        self._state.mkdir(parents=True, exist_ok=True)
        Path(self._at.config_path).write_text(self._run.model_dump_json())
        self._say("preflight: model, bucket, key and data")
        run_process(preflight_process(self._run, self._at), self._logs, self._secrets, PREFLIGHT_SECONDS)
        if self._run.spec.data.difficulty is None:
            dataset = self._prepare(lambda: None)
            self._fetch_model()
            with self._rollouts() as rollouts:
                return self._train(dataset, rollouts)
        # Problems are rated by the base model: its servers report to whoever listens on the orchestrator's port.
        self._fetch_model()
        with self._rollouts() as rollouts:
            return self._train(self._prepare(rollouts.revive), rollouts)

    @property
    def _logs(self) -> Path:
        return self._state / "logs"

    def _rollouts(self) -> LocalRollouts:
        return LocalRollouts(self._run, self._at, self._logs, self._secrets, self._say)

    def _fetch_model(self) -> None:
        for before in rollout_process(self._run, self._at, host=LOOPBACK).before:
            self._say("fetching the model")
            run_process(before, self._logs, self._secrets, PREPARATION_SECONDS)

    def _prepare(self, meanwhile: Callable[[], None]) -> str:
        """The URI of the dataset. `meanwhile` is called again and again until it is there."""
        self._say("preparing the dataset")
        description = prepare_process(self._run, self._at, port=self._orchestrator_port)
        deadline = time.monotonic() + PREPARATION_SECONDS
        process = start_process(description, self._logs, self._secrets)
        try:
            while process.running:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"prepare did not end within {PREPARATION_SECONDS:.0f} s (log: {process.log})")
                meanwhile()
                self._grading.revive()
                time.sleep(POLL_SECONDS)
            prepared = process.wait()
        finally:
            process.end(grace_seconds=5.0)
        if prepared is None or prepared.uri is None:
            raise RuntimeError("prepare ended well but named no dataset; this is a defect")
        self._say(prepared.cause)
        return prepared.uri

    def _train(self, dataset: str, rollouts: LocalRollouts) -> LocalRunResult:
        restarts = 0
        for attempt in attempts(self._state):
            self._say(f"training, attempt {attempt} (logs: {self._logs})")
            try:
                return self._attempt(attempt, dataset, rollouts)
            except ProcessFailedError as error:
                restarts += 1
                if not error.retryable or restarts > self._run.spec.failure_policy.max_restarts:
                    raise
                self._say(f"attempt {attempt} failed and starts again: {error}")
        raise AssertionError("unreachable: attempts do not end")

    def _attempt(self, attempt: int, dataset: str, rollouts: LocalRollouts) -> LocalRunResult:
        trainers = LocalTrainers(
            self._run, self._at, self._logs, self._secrets, attempt=attempt, dataset=dataset,
            port=self._orchestrator_port,
        )  # fmt: skip
        with trainers:
            while trainers.running:
                rollouts.revive()
                self._grading.revive()
                self._poll()
                time.sleep(POLL_SECONDS)
            message = trainers.wait()
        if message is None or message.uri is None:
            raise RuntimeError("the trainer ended well but named no model; this is a defect")
        best = message.best_checkpoint
        return LocalRunResult(message.uri, attempt, best.uri if best else None)

    def _poll(self) -> None:
        try:
            response = self._client.get(f"{self._at.orchestrator}/v1/progress")
            if response.status_code == 200:
                self._show(Progress.model_validate_json(response.content))
        except (httpx.HTTPError, ValidationError):
            return  # not up yet, or between attempts
