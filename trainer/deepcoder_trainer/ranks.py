"""`python -m deepcoder_trainer.ranks`, under torchrun: one rank, which carries out the orchestrator's commands.

All ranks read one log of commands and carry them out in its order, so their collectives meet. Rank 0 reports.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import torch.distributed as dist
from pydantic import ValidationError

from deepcoder_api.lifecycle import EXIT_DONE, EXIT_PERMANENT, EXIT_RETRYABLE
from deepcoder_api.log_stream import flush_output
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.termination import configure_logging
from deepcoder_trainer.batch import BatchError, read_batch
from deepcoder_trainer.engine import EngineSettings, PolicyEngine, join_process_group
from deepcoder_trainer.model_files import ModelFilesError
from deepcoder_trainer.packing import PackingError
from deepcoder_trainer.rank_client import OrchestratorAwayError, OrchestratorRefusedError, RankClient
from deepcoder_trainer.rank_protocol import (
    Command,
    CommandResult,
    Load,
    Publish,
    RankFailure,
    RankShards,
    Save,
    Stop,
    Train,
)
from deepcoder_trainer.state import StateError, load_state, reset_optimizer, save_state
from deepcoder_trainer.update import NotFiniteError, train_step
from deepcoder_trainer.weight_server import version_folder
from deepcoder_trainer.weights import publish, save_model

PERMANENT = (BatchError, ModelFilesError, NotFiniteError, OrchestratorRefusedError, PackingError, StateError)
"""What the same commands would meet again in another attempt."""
log = structlog.get_logger("ranks")


@dataclass(frozen=True)
class Weights:
    """Where the ranks of this pod publish, and the URL that it is served at."""

    folder: Path
    url: str


class CommandOrderError(RuntimeError):
    """A command that needs the engine before Load, or a second Load."""


class Rank:
    """One rank and its engine, once a Load has made it."""

    def __init__(self, run: ResolvedRun, client: RankClient, folder: Path, weights: Weights) -> None:
        self._run = run
        self._client = client
        self._folder = folder
        self._weights = weights
        self._engine: PolicyEngine | None = None
        self._model_dir = Path()

    def follow(self) -> None:
        """Carry out commands until Stop. Raises what a command raises, and the client's errors."""
        index, stopped = 0, False
        while not stopped:
            command = self._client.command(index)
            started = time.monotonic()
            metrics = self.carry_out(command)
            dist.barrier()  # rank 0 speaks for all, so all must be done
            metrics.setdefault("seconds", time.monotonic() - started)
            if dist.get_rank() == 0:
                log.info("done", command=command.kind, index=index, **metrics)
                self._client.report(index, CommandResult(metrics=metrics))
            stopped = isinstance(command, Stop)
            index += 1

    def carry_out(self, command: Command) -> dict[str, float]:
        """Carry out one command, alike on all ranks, and return its metrics."""
        match command:
            case Load():
                return self._load(command)
            case Train():
                return self._train(command)
            case Publish():
                return self._publish(command)
            case Save():
                return self._save(Path(command.directory))
            case Stop():
                return {}

    def _load(self, command: Load) -> dict[str, float]:
        if self._engine is not None:
            raise CommandOrderError("the engine is loaded already")
        self._model_dir = Path(command.model_dir)
        self._engine = PolicyEngine(self._model_dir, EngineSettings.of(self._run))
        if command.checkpoint_dir is not None:
            load_state(self._engine, Path(command.checkpoint_dir) / "state")
        return {"updates": float(self._engine.updates)}

    def _train(self, command: Train) -> dict[str, float]:
        path = self._folder / f"batch-{command.step}-{dist.get_rank()}.safetensors"
        self._client.fetch_batch(command.step, path)
        batch = read_batch(path)
        path.unlink()
        if batch.step != command.step:
            raise BatchError(f"the batch of step {command.step} says it is of step {batch.step}")
        if command.reset_optimizer:
            reset_optimizer(self._loaded())
        budget, rate = command.tokens_per_microbatch, command.learning_rate
        return train_step(self._loaded(), batch, self._run.algorithm, budget, rate)

    def _publish(self, command: Publish) -> dict[str, float]:
        self._remove_versions({command.version, *command.keep})
        files = publish(self._loaded(), version_folder(self._weights.folder, command.version))
        ranks, url = dist.get_world_size(), self._weights.url
        self._client.published(
            RankShards(version=command.version, rank=dist.get_rank(), ranks=ranks, url=url, files=files)
        )
        return {"bytes": float(sum(file.bytes for file in files)), "shards": float(len(files))}

    def _remove_versions(self, but: set[int]) -> None:
        """Before anything is written, so that no more than what is kept and what comes lies in memory."""
        if int(os.environ.get("LOCAL_RANK", 0)) == 0:
            kept = {version_folder(self._weights.folder, version) for version in but}
            for folder in {*self._weights.folder.glob("version-*")} - kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _save(self, directory: Path) -> dict[str, float]:
        model_bytes = save_model(self._loaded(), directory / "model", self._model_dir)
        return {
            "model_bytes": float(model_bytes),
            "state_bytes": float(save_state(self._loaded(), directory / "state")),
        }

    def _loaded(self) -> PolicyEngine:
        if self._engine is None:
            raise CommandOrderError("the engine is not loaded yet")
        return self._engine


def run_rank(work: Callable[[], None], client: RankClient, rank: int) -> int:
    """Do the work and return the exit code; a failure is told to the orchestrator, if it still listens."""
    try:
        work()
    except OrchestratorAwayError as error:
        log.error("orchestrator gone", cause=str(error))
        return EXIT_RETRYABLE
    except Exception as error:  # the last place that can say why this rank ended
        permanent = isinstance(error, PERMANENT)
        failure = RankFailure(rank=rank, cause=f"{type(error).__name__}: {error}"[:2048], permanent=permanent)
        log.exception("rank failed", **failure.model_dump())
        _tell(client, failure)
        return EXIT_PERMANENT if permanent else EXIT_RETRYABLE
    return EXIT_DONE


def _tell(client: RankClient, failure: RankFailure) -> None:
    try:
        client.fail(failure)
    except (OrchestratorAwayError, OrchestratorRefusedError) as error:
        log.error("failure not told", cause=str(error))


def _read_run() -> ResolvedRun:
    path = os.environ["DEEPCODER_CONFIG"]
    try:
        return ResolvedRun.model_validate_json(Path(path).read_text())
    except (OSError, ValidationError) as error:
        log.error("no configuration", path=path, cause=str(error))
        sys.exit(EXIT_PERMANENT)


def main() -> None:
    """Read the arguments and the environment that torchrun made, join the others, and follow the orchestrator."""
    configure_logging()
    parser = argparse.ArgumentParser(prog="deepcoder_trainer.ranks", description="One rank of a trainer.")
    parser.add_argument("--orchestrator", required=True, help="URL of the orchestrator")
    parser.add_argument("--attempt", required=True, type=int, help="the attempt that this rank belongs to")
    parser.add_argument("--weights-dir", required=True, type=Path, help="folder that this pod's weight server serves")
    parser.add_argument("--weights-url", required=True, help="URL that rollout servers reach that server by")
    arguments = parser.parse_args()
    run, rank = _read_run(), int(os.environ["RANK"])
    client = RankClient(arguments.orchestrator, rank=rank, attempt=arguments.attempt)
    structlog.contextvars.bind_contextvars(rank=rank)

    def work() -> None:
        join_process_group()
        with tempfile.TemporaryDirectory(prefix="deepcoder-rank-") as folder:
            Rank(run, client, Path(folder), Weights(arguments.weights_dir, arguments.weights_url)).follow()
        dist.destroy_process_group()

    code = run_rank(work, client, rank)
    flush_output()
    # After a failure other ranks may still be in a collective: leaving the ordinary way would wait for them.
    os._exit(code)


if __name__ == "__main__":
    main()
