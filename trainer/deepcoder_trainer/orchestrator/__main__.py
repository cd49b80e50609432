"""`python -m deepcoder_trainer.orchestrator`: one attempt of a run, from the claim to the last checkpoint."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import httpx
import structlog

from deepcoder_api.connections import keepalive_options
from deepcoder_api.http_transport import AiohttpTransport
from deepcoder_api.lifecycle import EXIT_CODES, TerminationMessage
from deepcoder_api.log_stream import flush_output
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.dataset import VALIDATION, load_problems
from deepcoder_data.store import ObjectStore, open_store
from deepcoder_data.termination import configure_logging, write_message
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.assembly import Given, Orchestrator, assemble
from deepcoder_trainer.orchestrator.failures import OrchestratorError, Stopped, first_failure
from deepcoder_trainer.orchestrator.grading import IN_FLIGHT_PER_REPLICA
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.serving import expire_silent, serving
from deepcoder_trainer.orchestrator.storage import stored

LEAVE_CHECKPOINT_SECONDS = 40.0
STOP_RANKS_SECONDS = 20.0
log = structlog.get_logger("orchestrator")


def main() -> None:
    """Run to the end. Always leaves a termination message, and leaves at once even while a thread still uploads."""
    configure_logging()
    run = ResolvedRun.model_validate_json(Path(os.environ["DEEPCODER_CONFIG"]).read_text())
    asyncio.run(_to_the_end(run, _arguments()))


async def _to_the_end(run: ResolvedRun, arguments: argparse.Namespace) -> NoReturn:
    try:
        message = await _run(run, arguments)
    except OrchestratorError as failure:
        message = TerminationMessage(outcome=failure.outcome, reason=failure.reason, cause=str(failure)[:2048])
    except Exception as error:
        log.exception("unexpected failure")
        message = TerminationMessage(outcome="retryable", reason=type(error).__name__, cause=repr(error)[:2048])
    _leave(message)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deepcoder_trainer.orchestrator", description=__doc__)
    parser.add_argument("--attempt", type=int, required=True, help="life of the trainer pods, counted from 1")
    parser.add_argument("--dataset", required=True, help="URI of the prepared dataset")
    parser.add_argument("--sandbox", required=True, help="URL of the grading servers")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--work-dir", type=Path, required=True, help="a folder for batches and checkpoints")
    parser.add_argument("--port", type=int, default=8700)
    parser.add_argument("--bind", default="0.0.0.0", help="address to listen on")
    return parser.parse_args()


async def _run(run: ResolvedRun, arguments: argparse.Namespace) -> TerminationMessage:
    structlog.contextvars.bind_contextvars(run=run.name, attempt=arguments.attempt)
    stop, store = asyncio.Event(), open_store(run.spec.storage)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    given = Given(run, arguments.attempt, arguments.dataset, arguments.model_dir, arguments.work_dir)
    grades, metrics = IN_FLIGHT_PER_REPLICA * run.spec.sandbox.replicas, RunMetrics()
    # Each request has a deadline of its own; a step may have all its answers under way at once.
    transport = AiohttpTransport(socket_options=keepalive_options())
    async with (
        httpx.AsyncClient(transport=transport, timeout=30.0, trust_env=False) as client,
        SandboxClient(arguments.sandbox, max_in_flight=grades, registry=metrics.registry) as sandbox,
    ):
        problems = await stored(lambda: load_problems(store, arguments.dataset), f"read {arguments.dataset}")
        held_out = await _held_out(run, store, arguments.dataset)
        orchestrator = assemble(
            given, problems=problems, held_out=held_out, store=store, client=client, sandbox=sandbox, metrics=metrics,
            stop=stop,
        )  # fmt: skip
        async with serving(orchestrator.routes.application(), arguments.bind, arguments.port):
            try:
                uri = await _watched(orchestrator)
            except BaseException:
                await _stop_ranks(orchestrator)
                raise
            await _stop_ranks(orchestrator)
        return orchestrator.loop.progress.completion(uri)


async def _held_out(run: ResolvedRun, store: ObjectStore, dataset: str) -> Mapping[str, Problem]:
    """The problems of the validation; none without one."""
    if run.spec.validation is None:
        return {}
    return await stored(lambda: load_problems(store, dataset, VALIDATION), f"read {dataset}")


async def _watched(orchestrator: Orchestrator) -> str:
    """Drive the loop while ranks and rollouts are watched. Raises the failure that explains the others."""
    try:
        async with asyncio.TaskGroup() as tasks:
            watchers = [
                tasks.create_task(orchestrator.ranks.watch()),
                tasks.create_task(expire_silent(orchestrator.registry, orchestrator.weights.leave)),
                tasks.create_task(orchestrator.grader.watch()),
            ]
            uri = await _train_or_leave(orchestrator)
            for watcher in watchers:
                watcher.cancel()
    except BaseExceptionGroup as group:
        raise first_failure(group) from group
    finally:
        await orchestrator.weights.abort()
    return uri


async def _train_or_leave(orchestrator: Orchestrator) -> str:
    try:
        return await orchestrator.loop.execute()
    except Stopped:
        try:
            async with asyncio.timeout(LEAVE_CHECKPOINT_SECONDS):
                await orchestrator.loop.leave_checkpoint()
        except TimeoutError:
            # Nothing is lost: the journal has every step since the last checkpoint.
            log.warning("no checkpoint before the stop", deadline_seconds=LEAVE_CHECKPOINT_SECONDS)
        raise


async def _stop_ranks(orchestrator: Orchestrator) -> None:
    try:
        await orchestrator.ranks.stop(STOP_RANKS_SECONDS)
    except OrchestratorError as failure:
        log.warning("the ranks did not leave in good order", cause=str(failure))


def _leave(message: TerminationMessage) -> NoReturn:
    write_message(message)
    (log.info if message.outcome == "done" else log.error)("finished", **message.model_dump(exclude_none=True))
    flush_output()
    os._exit(EXIT_CODES[message.outcome])


if __name__ == "__main__":
    main()
